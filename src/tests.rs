//! Each feature by itself: a context of its backend can be made and used.

#[cfg(all(feature = "native", target_os = "linux"))]
#[test]
fn native_alone_makes_a_context() -> crate::Result<()> {
    let ctx = crate::Native::builder().build()?;
    let q = ctx.queue::<u32>(1)?;
    q.put(&7)?;
    assert_eq!((q.get()?, ctx.backend()), (7, crate::Backend::Native));
    Ok(())
}

#[cfg(feature = "sandbox")]
#[test]
fn sandbox_alone_runs_a_process() -> crate::Result<()> {
    // (module (memory (export "memory") 1) (func (export "_start")))
    let module = b"\0asm\x01\0\0\0\
        \x01\x04\x01\x60\0\0\
        \x03\x02\x01\0\
        \x05\x03\x01\0\x01\
        \x07\x13\x02\x06memory\x02\0\x06_start\0\0\
        \x0a\x04\x01\x02\0\x0b";
    let program = crate::sandbox::Program::from_bytes("empty", module.to_vec())?;
    let sandbox = crate::Sandbox::builder().max_processes(1).build()?;
    let ctx = sandbox.context(program)?;
    let status = ctx.main([""; 0]).start()?.join()?;
    assert!(status.success(), "it {status}");
    Ok(())
}
