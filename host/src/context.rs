//! The sandbox's context as the embedding program holds it: a program, what it is granted, and the
//! sandbox that runs it.

use crate::account::{Account, Charge, OBJECT};
use crate::connection::{self, Names};
use crate::event::HostEvent;
use crate::grants::Grants;
use crate::inner::{Inner, Owner};
use crate::ledger::HostLedger;
use crate::lock::HostLock;
use crate::object::{self, Stored};
use crate::pipe::PipeEnd;
use crate::program::{Prepared, Program};
use crate::queue;
use crate::ready;
use crate::region::HostRegion;
use crate::runtime::{Runtime, Share};
use crate::semaphore::HostSemaphore;
use crate::start::Shared;
use crate::state::Environment;
use crate::tree::Tree;
use crate::waiting::OWN_PID;
use crate::warm::Capture;
use crate::wasi::Files;
use procbox_core::observe;
use procbox_core::random::Random;
use procbox_core::raw::{
    Address, Backend, Bounds, Identity, ProcessSpec, RawConnection, RawContext, RawEvent,
    RawLedger, RawListener, RawLock, RawPipe, RawProcess, RawQueue, RawRegion, RawSemaphore,
    Waitable, WorkerInfo,
};
use procbox_core::time::Clock;
use procbox_core::{Bytes, Error, Result, Wait};
use std::sync::Arc;
use std::time::Duration;

/// The context of the embedding program.
pub(crate) struct Root {
    shared: Arc<Shared>,
    identity: Identity,
    _owner: Arc<Owner>,
}

impl Root {
    pub(crate) fn new(owner: Arc<Owner>, program: Prepared, mut grants: Grants) -> Result<Root> {
        let identity = match grants.take_identity() {
            Some(identity) => identity,
            None => {
                let mut first = Identity::new("MainProcess", OWN_PID);
                first.authkey = random_key(&owner.0.runtime)?;
                first
            }
        };
        let sandbox = owner.0.clone();
        let names =
            if grants.shares_names() { sandbox.names.clone() } else { Arc::new(Names::default()) };
        let account = Account::of_embedder(usize::MAX);
        let share = Share::new(grants.weight_of_context());
        // A simulation has the one thread.
        let needs_files = grants.has_directories() && !sandbox.runtime.clock().is_virtual();
        let files = if needs_files { Some(Arc::new(Files::new()?)) } else { None };
        let (program, maker) = (Arc::new(program), None);
        let shared = Shared { sandbox, program, grants, account, names, files, share, maker };
        let shared = Arc::new(shared);
        Ok(Root { shared, identity, _owner: owner })
    }

    /// The same for another program.
    fn with(&self, program: Prepared) -> Root {
        self.sharing(self.shared.with(Arc::new(program)))
    }

    /// The same, whose processes have this in common.
    fn sharing(&self, shared: Shared) -> Root {
        Root {
            shared: Arc::new(shared),
            identity: self.identity.clone(),
            _owner: self._owner.clone(),
        }
    }

    /// The program, whose first process is to become an image; and its functions.
    fn prepare_first(&self, capture: Arc<Capture>) -> Result<(Prepared, Vec<u8>)> {
        let program = &self.shared.program;
        program.source().prepare_first(&self.shared.sandbox, program.imports().clone(), capture)
    }

    /// The program that begins where this process has returned, and its functions.
    fn image_of(&self, first: ProcessSpec) -> Result<(Program, Vec<u8>)> {
        let source = self.shared.program.source();
        let capture = Arc::new(Capture::default());
        let (prepared, functions) = self.prepare_first(capture.clone())?;
        let worker = first.identity.name.clone();
        let process = self.with(prepared).start(first)?;
        let status = process.join(Wait::Forever);
        // Whatever is left of it: it is nobody's child.
        process.kill_tree()?;
        let status = status?;
        match capture.take() {
            Some(Ok(image)) if status.success() => {
                Ok((source.rewritten(&self.shared.sandbox, &image)?, functions))
            }
            Some(Err(why)) if status.success() => Err(source.refuse(why)),
            _ => Err(Error::WorkerDied { worker, status, attempts: 1, printed: None }),
        }
    }

    fn runtime(&self) -> &Arc<Runtime> {
        &self.shared.sandbox.runtime
    }

    fn tree_memory(&self) -> usize {
        self.shared.sandbox.limits.tree.memory.unwrap_or(usize::MAX)
    }

    fn charge(&self) -> Result<Charge> {
        self.account().charge(OBJECT)
    }

    fn account(&self) -> &Arc<Account> {
        &self.shared.account
    }
}

/// 32 random bytes.
fn random_key(runtime: &Runtime) -> Result<Bytes> {
    let mut key = vec![0; 32];
    runtime.random().fill(&mut key)?;
    Ok(Bytes(key))
}

impl RawContext for Root {
    fn backend(&self) -> Backend {
        Backend::Sandbox
    }

    fn lock(&self) -> Result<Arc<dyn RawLock>> {
        let lock = HostLock::new(self.runtime().clone(), self.charge()?);
        observe::show(&lock);
        Ok(lock)
    }

    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>> {
        Ok(HostSemaphore::new(self.runtime().clone(), permits, self.charge()?))
    }

    fn event(&self) -> Result<Arc<dyn RawEvent>> {
        Ok(HostEvent::new(self.runtime().clone(), self.charge()?))
    }

    fn ledger(&self) -> Result<Arc<dyn RawLedger>> {
        Ok(HostLedger::new(self.runtime().clone(), self.charge()?))
    }

    fn region(&self, bytes: usize) -> Result<Arc<dyn RawRegion>> {
        // No guest makes it larger: it is the embedding program's own business.
        let account = Account::of_embedder(usize::MAX);
        let charge = account.charge(OBJECT.saturating_add(bytes))?;
        Ok(Arc::new(HostRegion::new(self.runtime().clone(), bytes, charge)?))
    }

    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>> {
        // Guests fill it too: with as much as a tree may have, and at no other queue's expense.
        let account = Account::of_embedder(self.tree_memory());
        Ok(queue::new(self.runtime().clone(), account, bounds)?)
    }

    fn pipe(&self, duplex: bool) -> Result<(Arc<dyn RawPipe>, Arc<dyn RawPipe>)> {
        let account = Account::of_embedder(self.tree_memory());
        let (a, b) = PipeEnd::pair(self.runtime(), &account, duplex)?;
        Ok((a, b))
    }

    fn listen(&self, address: &Address) -> Result<Arc<dyn RawListener>> {
        let name = connection::name_of(address)?;
        Ok(Arc::new(self.shared.names.listen(self.runtime(), self.account(), name)?))
    }

    fn connect(&self, address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        let name = connection::name_of(address)?;
        let approach = self.shared.names.approach(self.runtime(), self.account(), name)?;
        approach.block_connect(wait)
    }

    fn start(&self, mut spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        let message = std::mem::take(&mut spec.message);
        let arguments = Stored::pack(&message.bytes, &message.handles, self.runtime())?;
        let export = self.shared.program.export_of(&spec.entry)?;
        let names = if spec.own_names { Arc::default() } else { self.shared.names.clone() };
        let Inner { runtime, registry, limits, .. } = &*self.shared.sandbox;
        let moment = |time: Option<Duration>| {
            time.map_or(Wait::Forever, Wait::AtMost).deadline(&**runtime.clock())
        };
        let deadline = moment(limits.tree.time);
        let share = self.shared.share.child();
        let tree = Tree::new(share, names, registry.clone(), limits.tree);
        let process =
            self.shared.clone().begin(export, spec, arguments, tree, Arc::default(), deadline)?;
        Ok(process)
    }

    fn limits_memory(&self) -> bool {
        true
    }

    fn warm(&self, first: ProcessSpec) -> Result<Arc<dyn RawContext>> {
        let (program, functions) = self.image_of(first)?;
        let sandbox = &self.shared.sandbox;
        let imports = self.shared.program.imports().clone();
        Ok(Arc::new(self.with(program.prepare(sandbox, imports, &functions)?)))
    }

    fn snapshot(&self, first: ProcessSpec) -> Result<Vec<u8>> {
        let (program, functions) = self.image_of(first)?;
        // It is compiled for the cache, where there is one: here its functions are at hand.
        match program.keep(&self.shared.sandbox, self.shared.program.imports(), &functions) {
            Ok(_) | Err(Error::Invalid(_) | Error::Os { .. }) => {}
            Err(e) => return Err(e),
        }
        Ok(program.bytes().to_vec())
    }

    fn beside(&self, maker: &Arc<dyn RawContext>) -> Result<Arc<dyn RawContext>> {
        if self.runtime().is_virtual() {
            return Err(Error::Unsupported("a bridge with a simulated sandbox"));
        }
        self.runtime().known().bridge(maker);
        let shared = self.shared.with(self.shared.program.clone());
        Ok(Arc::new(self.sharing(Shared { maker: Some(maker.clone()), ..shared })))
    }

    fn ready(&self, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
        let sources = those.iter().map(object::source_of).collect::<Result<Vec<_>>>()?;
        ready::block_until_ready(self.runtime(), &sources, wait)
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>> {
        Ok(self.shared.workers().workers.clone())
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn cpu_count(&self) -> usize {
        self.shared.cpu_count()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.runtime().clock().clone()
    }

    fn random(&self) -> Arc<dyn Random> {
        self.runtime().random().clone()
    }
}
