//! `procbox top` on a terminal: drawn anew each second, and at each key.

use super::grid::{self, Grid, Seen};
use super::{NOTHING, all, find};
use crate::signals;
use procbox::backend::printable;
use procbox::watch::{ProcessView, Snapshot};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Text;
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often all is asked anew.
const EVERY: Duration = Duration::from_secs(1);
/// How soon a signal is noticed.
const ATTENTION: Duration = Duration::from_millis(200);
/// The space between columns.
const GAP: u16 = 1;

/// The order of processes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Pid,
    Name,
    Cpu,
    Memory,
    Wait,
}

/// What is on the screen.
struct Screen {
    /// The process that is looked into, or else the list of all.
    open: Option<u32>,
    /// Whether there is a list to go back to.
    has_list: bool,
    order: Order,
    chosen: TableState,
    all: Vec<(u32, Result<Snapshot, String>)>,
    one: Option<Snapshot>,
    /// The CPU times of the time before, and when that was.
    before: Option<(Instant, HashMap<u32, Duration>)>,
    seen: Vec<Seen>,
    said: String,
}

/// Shows it until it is told to end.
///
/// # Errors
/// Those of the terminal.
pub(super) fn show(pid: Option<u32>) -> anyhow::Result<u8> {
    let mut screen = Screen {
        open: pid,
        has_list: pid.is_none(),
        order: Order::Pid,
        chosen: TableState::default(),
        all: Vec::new(),
        one: None,
        before: None,
        seen: Vec::new(),
        said: String::new(),
    };
    let mut terminal = ratatui::try_init()?;
    let mut work = || -> anyhow::Result<()> {
        loop {
            screen.look()?;
            let next = Instant::now() + EVERY;
            while Instant::now() < next {
                terminal.draw(|frame| screen.draw(frame))?;
                if signals::status().is_some() {
                    return Ok(());
                }
                let left = next.saturating_duration_since(Instant::now());
                if !event::poll(left.min(ATTENTION))? {
                    continue;
                }
                if let Event::Key(key) = event::read()?
                    && key.kind != KeyEventKind::Release
                {
                    let is_ctrl_c = key.code == KeyCode::Char('c')
                        && key.modifiers.contains(KeyModifiers::CONTROL);
                    if is_ctrl_c || !screen.key(key.code)? {
                        return Ok(());
                    }
                }
            }
        }
    };
    let ended = work();
    // The terminal first: what went wrong is said on it.
    ratatui::try_restore()?;
    ended.map(|()| 0)
}

impl Screen {
    /// Asks for what is shown.
    fn look(&mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.open {
            match find(pid).map(|there| there.snapshot()) {
                Some(Ok(snapshot)) => {
                    self.said.clear();
                    self.take(snapshot);
                    return Ok(());
                }
                Some(Err(e)) if e.kind() == std::io::ErrorKind::TimedOut => {
                    self.said = format!("{pid} does not answer");
                    return Ok(());
                }
                _ if self.has_list => {
                    self.close();
                    self.said = format!("{pid} has ended");
                }
                _ => {
                    self.said = format!("{pid} has ended; q ends this");
                    return Ok(());
                }
            }
        }
        self.all = all()?;
        Ok(())
    }

    fn take(&mut self, snapshot: Snapshot) {
        let now = Instant::now();
        let cpu = |process: &ProcessView| Some((process.pid, process.cpu?));
        let times: HashMap<_, _> = snapshot.processes.iter().filter_map(cpu).collect();
        self.seen = snapshot
            .processes
            .iter()
            .map(|process| {
                let share = self.before.as_ref().and_then(|(then, times)| {
                    // One that was not there yet has used it all since.
                    let used = times.get(&process.pid).copied().unwrap_or_default();
                    let passed = now.duration_since(*then).as_secs_f64().max(1e-3);
                    Some(process.cpu?.saturating_sub(used).as_secs_f64() / passed)
                });
                Seen { process: process.clone(), share }
            })
            .collect();
        self.before = Some((now, times));
        self.one = Some(snapshot);
        self.sort();
    }

    fn sort(&mut self) {
        let longest = |seen: &Seen| seen.process.waits.iter().map(|(_, since)| *since).max();
        match self.order {
            Order::Pid => self.seen.sort_by_key(|seen| seen.process.pid),
            Order::Name => self.seen.sort_by(|a, b| a.process.name.cmp(&b.process.name)),
            Order::Cpu => self.seen.sort_by(|a, b| {
                let of = |seen: &Seen| (seen.share.unwrap_or(0.0), seen.process.cpu);
                of(b).partial_cmp(&of(a)).unwrap_or(std::cmp::Ordering::Equal)
            }),
            Order::Memory => self.seen.sort_by_key(|seen| Reverse(seen.process.memory)),
            Order::Wait => self.seen.sort_by_key(|seen| Reverse(longest(seen))),
        }
    }

    fn open(&mut self, pid: u32) -> anyhow::Result<()> {
        self.open = Some(pid);
        (self.one, self.before, self.chosen) = (None, None, TableState::default());
        self.look()
    }

    fn close(&mut self) {
        self.open = None;
        (self.one, self.before, self.chosen) = (None, None, TableState::default());
        self.seen.clear();
    }

    /// Does what a key says; `false` to end.
    fn key(&mut self, key: KeyCode) -> anyhow::Result<bool> {
        let rows = if self.open.is_some() { self.seen.len() } else { self.all.len() };
        let order = match key {
            KeyCode::Char('q') => return Ok(false),
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left if self.open.is_some() => {
                if self.has_list {
                    self.close();
                    self.look()?;
                }
                return Ok(true);
            }
            KeyCode::Down | KeyCode::Char('j') => {
                let next = self.chosen.selected().map_or(0, |at| at + 1);
                self.chosen.select(Some(next.min(rows.saturating_sub(1))));
                return Ok(true);
            }
            KeyCode::Up | KeyCode::Char('k') => {
                let next = self.chosen.selected().map_or(0, |at| at.saturating_sub(1));
                self.chosen.select(Some(next));
                return Ok(true);
            }
            KeyCode::Enter | KeyCode::Right if self.open.is_none() => {
                let chosen = self.all.get(self.chosen.selected().unwrap_or(0));
                if let Some(pid) = chosen.map(|(pid, _)| *pid) {
                    self.open(pid)?;
                }
                return Ok(true);
            }
            KeyCode::Char('p') => Order::Pid,
            KeyCode::Char('n') => Order::Name,
            KeyCode::Char('c') => Order::Cpu,
            KeyCode::Char('m') => Order::Memory,
            KeyCode::Char('w') => Order::Wait,
            _ => return Ok(true),
        };
        self.order = order;
        self.sort();
        Ok(true)
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let columns = usize::from(frame.area().width);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        match &self.one {
            Some(one) => {
                let things = grid::things(&one.things);
                // With what stands over them; at most a third of the screen.
                let below = if one.things.is_empty() { 0 } else { one.things.len() + 2 };
                let most = frame.area().height / 3;
                let below_lines = u16::try_from(below).unwrap_or(most).min(most);
                let lines = grid::summary(one, columns);
                let [top, middle, below, last] = Layout::vertical([
                    Constraint::Length(3.max(lines.len() as u16 + 1)),
                    Constraint::Min(1),
                    Constraint::Length(below_lines),
                    Constraint::Length(1),
                ])
                .areas(frame.area());
                frame.render_widget(Paragraph::new(lines.join("\n")).style(bold), top);
                let processes = grid::processes(&self.seen, columns);
                draw_grid(frame, &processes, middle, &mut self.chosen);
                if below_lines > 0 {
                    let below = Rect { y: below.y + 1, height: below.height - 1, ..below };
                    draw_grid(frame, &things, below, &mut TableState::default());
                }
                let keys = "q quit  Esc back  sort: p n c m w";
                say(frame, last, if self.said.is_empty() { keys } else { &self.said });
            }
            None => {
                let [top, middle, last] = Layout::vertical([
                    Constraint::Length(2),
                    Constraint::Min(1),
                    Constraint::Length(1),
                ])
                .areas(frame.area());
                let title = format!("procbox top: {} can be seen", self.all.len());
                frame.render_widget(Paragraph::new(title).style(bold), top);
                if self.all.is_empty() {
                    let wrap = ratatui::widgets::Wrap { trim: true };
                    frame.render_widget(Paragraph::new(NOTHING).wrap(wrap), middle);
                } else {
                    if self.chosen.selected().is_none() {
                        self.chosen.select(Some(0));
                    }
                    draw_grid(frame, &grid::contexts(&self.all, columns), middle, &mut self.chosen);
                }
                let keys = "q quit  Enter look into it";
                say(frame, last, if self.said.is_empty() { keys } else { &self.said });
            }
        }
    }
}

fn say(frame: &mut Frame<'_>, area: Rect, text: &str) {
    let style = Style::new().add_modifier(Modifier::DIM);
    frame.render_widget(Paragraph::new(printable(text)).style(style), area);
}

fn draw_grid(frame: &mut Frame<'_>, grid: &Grid, area: Rect, chosen: &mut TableState) {
    let mut widths: Vec<Constraint> = grid
        .widths(Some(usize::from(area.width)))
        .into_iter()
        .map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)))
        .collect();
    if let Some(last) = widths.last_mut() {
        *last = Constraint::Fill(1);
    }
    let cell = |text: &str, right: bool| {
        let side = if right { Alignment::Right } else { Alignment::Left };
        Cell::from(Text::from(text.to_string()).alignment(side))
    };
    let heads = grid.heads.iter().map(|(head, right)| cell(head, *right));
    let rows = grid.rows.iter().map(|row| {
        Row::new(row.iter().zip(&grid.heads).map(|(text, (_, right))| cell(text, *right)))
    });
    let reversed = Style::new().add_modifier(Modifier::REVERSED);
    let table = Table::new(rows, widths)
        .header(Row::new(heads).style(reversed))
        .column_spacing(GAP)
        .row_highlight_style(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED));
    frame.render_stateful_widget(table, area, chosen);
}
