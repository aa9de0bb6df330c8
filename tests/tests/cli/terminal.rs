//! What the command looks like: colours, a progress bar, completions, manual pages.

use super::*;

/// What a terminal of so many columns gets, and the command's status.
fn on_a_terminal(columns: u16, words: &str) -> (String, i32) {
    let dir = folder();
    let log = dir.path().join("log");
    let script = format!("stty cols {columns} rows 24; exec {} {words}", procbox().display());
    let mut command = Command::new("script");
    command.args(["-qefc", &script]).arg(&log).env("TERM", "xterm").env_remove("NO_COLOR");
    let ran = run(&mut command);
    (String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned(), ran.status)
}

/// What is left on a screen: the lines, each as it was last written. The bar only ever moves within its
/// line and upwards, and erases.
fn screen(text: &str) -> Vec<String> {
    let text = text.split_once('\n').map_or("", |(_, rest)| rest); // `script` says that it begins.
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0usize, 0usize);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => {
                chars.next();
                let mut number = String::new();
                let end = loop {
                    match chars.next() {
                        Some(c) if c.is_ascii_digit() || c == ';' || c == '?' => number.push(c),
                        Some(c) => break c,
                        None => break ' ',
                    }
                };
                let number: usize = number.parse().unwrap_or(1);
                match end {
                    'A' => row = row.saturating_sub(number),
                    'B' => row += number,
                    'K' => lines[row].clear(),
                    'J' => lines.truncate(row + 1),
                    _ => {}
                }
            }
            c => {
                let line: &mut Vec<char> = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    let lines = lines.into_iter().map(|line| line.into_iter().collect::<String>());
    lines.map(|line| line.trim_end().to_string()).collect()
}

#[test]
fn results_and_the_bar_do_not_smear_each_other() {
    for columns in [80, 40] {
        let words = "map -j 2 --delay 30ms sh -c 'echo result {}' ::: 1 2 3 4 5 6 7 8 9 10 11 12";
        let (text, status) = on_a_terminal(columns, words);
        assert_eq!(status, 0, "{text}");
        let lines = screen(&text);
        let results = lines.iter().filter(|line| line.starts_with("result ")).cloned();
        let due: Vec<String> = (1..=12).map(|n| format!("result {n}")).collect();
        assert_eq!(results.collect::<Vec<_>>(), due, "{columns}: {lines:#?}\n{text:?}");
        // Of the bar nothing is left.
        assert!(!lines.iter().any(|line| line.contains("/12")), "{columns}: {lines:#?}");
    }
}

#[test]
fn colours_are_where_they_were_asked_for() {
    let failing =
        |options: &str| command(&format!("map {options} false"), &[Path::new("/etc/passwd")]);
    let has_colour = |ran: Ran| ran.stderr.contains("\x1b[");
    assert!(!has_colour(run(&mut failing(""))));
    assert!(has_colour(run(&mut failing("--color always"))));
    assert!(has_colour(run(failing("").env("CLICOLOR_FORCE", "1"))));
    assert!(!has_colour(run(failing("").env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1"))));
    assert!(!has_colour(run(failing("--color never").env("CLICOLOR_FORCE", "1"))));
    let (text, _) = on_a_terminal(80, "run /no/such/program");
    assert!(text.contains("\x1b[1;31mprocbox:\x1b[0m"), "{text:?}");
}

#[test]
fn every_shell_is_told_how_to_complete() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&mut command(&format!("completions {shell}"), &[]));
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.stdout.contains("joblog") && ran.stdout.contains("invoke"), "{shell}");
    }
    check(&run(&mut command("completions csh", &[])), 2, "");
}

#[test]
fn there_is_a_manual_page_for_each_subcommand() {
    let dir = folder();
    let pages = dir.path().join("man1");
    check(&run(&mut command("man", &[&pages])), 0, "");
    for (page, word) in
        [("procbox.1", "completions"), ("procbox-map.1", "joblog"), ("procbox-run.1", "invoke")]
    {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.starts_with(".ie") || text.contains(".TH"), "{page}");
        assert!(text.contains(word), "{page}");
    }
}

#[test]
fn demo_works_from_a_copy_of_the_command_in_any_directory() {
    let dir = folder();
    let copy = dir.path().join("procbox");
    super::copy(&procbox(), &copy);
    let ran = run(Command::new(&copy).args(["demo", "lock"]).current_dir(dir.path()));
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("native and sandbox agree"), "{}", ran.stdout);
}
