//! What the README and the page of the command show is what is printed.

use super::*;

/// Each command of a page, and what it says is printed.
fn sessions(page: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let mut sessions: Vec<(String, String)> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(line) if line.starts_with("$ ") => {
                // What stands behind three spaces and a `#` is a remark.
                let command = line[2..].split("   #").next().unwrap_or_default();
                sessions.push((command.to_string(), String::new()));
                is_open = true;
            }
            Some(line) if is_open => {
                let (_, due) = sessions.last_mut().unwrap();
                *due += &format!("{line}\n");
            }
            _ => is_open = false,
        }
    }
    sessions
}

#[test]
fn every_command_on_the_pages_prints_what_stands_below_it() {
    let dir = folder();
    let built = procbox().parent().unwrap().to_path_buf();
    std::os::unix::fs::symlink(built.parent().unwrap(), dir.path().join("target")).unwrap();
    let path = format!("{}:{}", built.display(), std::env::var("PATH").unwrap());
    for page in ["README.md", "docs/command.md", "docs/observing.md"] {
        let sessions = sessions(page);
        assert!(sessions.len() > 3, "{page}: {sessions:?}");
        // What measures has no output that could be known.
        for (line, due) in sessions.iter().filter(|(line, _)| !line.starts_with("procbox bench")) {
            let mut shell = Command::new("sh");
            shell.args(["-c", line]).current_dir(dir.path()).env("PATH", &path);
            let ran = run(&mut shell);
            let (printed, due) = (ran.stdout.trim_end(), due.trim_end());
            assert_eq!((ran.status, printed), (0, due), "{page}: {line}\n{}", ran.stderr);
        }
    }
}
