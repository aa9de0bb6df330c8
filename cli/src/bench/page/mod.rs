//! Figures as a page that needs nothing else: no network, no script. It has a plot per group, follows the
//! reader's light or dark, and is as wide as the screen.

mod plot;

use super::groups::{about, advice, grouped, time, times};
use super::machine::Machine;
use plot::{Axis, strip};
use procbox_benches::{Effort, Figure};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// The sections, by the beginnings of their groups' names.
const SECTIONS: &[(&[&str], &str)] = &[
    (&["spawn", "pool"], "Processes and pools"),
    (&["queue"], "Queues"),
    (&["pipe", "lock", "semaphore"], "Pipes, locks and semaphores"),
    (&["fair"], "Fairness in the sandbox"),
    (&["safety"], "What safety costs"),
    (&[""], "More"),
];

/// Writes text where markup is read.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// The class of a contender's marks: ours have colours of their own.
fn class(contender: &str) -> &'static str {
    match contender {
        "native" => "native",
        "sandbox" => "sandbox",
        _ => "peer",
    }
}

pub(super) fn page(figures: &[Figure], machine: &Machine, effort: Effort) -> String {
    let groups = grouped(figures);
    let mut body = String::new();
    let mut told = vec![false; groups.len()];
    for (beginnings, title) in SECTIONS {
        let mut of_it = Vec::new();
        for beginning in *beginnings {
            let fits = |at: &usize| !told[*at] && groups[*at].0.starts_with(beginning);
            of_it.extend((0..groups.len()).filter(fits).collect::<Vec<_>>());
        }
        if of_it.is_empty() {
            continue;
        }
        let _ = write!(body, "<section><h2>{title}</h2><div class=\"cards\">");
        for at in of_it {
            told[at] = true;
            card(&mut body, groups[at].0, groups[at].1);
        }
        body.push_str("</div></section>");
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>procbox bench</title><style>{STYLE}</style></head><body>\
         <header><h1>procbox bench</h1><p>{machine}</p><p>{how}</p>{LEGEND}</header>\
         <main>{body}</main>{table}</body></html>\n",
        machine = escaped(&machine.to_string()),
        how = how(effort),
        table = table(&groups),
    )
}

/// What the marks mean.
const LEGEND: &str = "<ul class=\"legend\">\
    <li><i class=\"native\"></i>native: OS processes</li>\
    <li><i class=\"sandbox\"></i>sandbox: WebAssembly instances</li>\
    <li><i class=\"peer\"></i>others</li>\
    <li><i class=\"range\"></i>half of the samples</li></ul>";

fn how(effort: Effort) -> String {
    format!(
        "A mark is the median of up to {} samples of some {} ms each; the line through it is where the \
         middle half of them is. Each step of an axis is ten times the one before. Compare marks within \
         this page: times of other machines, or of another hour of this one, are others. Further left is \
         faster.",
        effort.samples,
        effort.sample_time.as_millis()
    )
}

fn card(out: &mut String, group: &str, figures: &[Figure]) {
    let axis = Axis::of(figures);
    let first = figures.first().map_or(f64::NAN, |figure| figure.ns_per_op);
    let (name, what) = (escaped(group), escaped(about(group)));
    let _ = write!(out, "<article><h3>{name}</h3><p class=\"what\">{what}</p><div class=\"rows\">");
    for figure in figures {
        let _ = write!(
            out,
            "<div class=\"row\"><span class=\"name\">{}</span><span class=\"value\">{}</span>\
             <span class=\"ratio\">{}</span>{}</div>",
            escaped(&figure.contender),
            time(figure.ns_per_op),
            times(figure.ns_per_op / first),
            strip(&axis, figure, class(&figure.contender)),
        );
    }
    out.push_str(&axis.labels());
    out.push_str("</div>");
    if let Some(advice) = advice(group, figures) {
        let _ = write!(out, "<p class=\"advice\">{}</p>", escaped(&advice));
    }
    out.push_str("</article>");
}

/// All figures once more, as numbers.
fn table(groups: &[(&str, &[Figure])]) -> String {
    let mut rows = String::new();
    for figure in groups.iter().flat_map(|(_, figures)| figures.iter()) {
        let (low, high) = figure.spread().map_or((String::new(), String::new()), |(low, high)| {
            (format!("{low:.1}"), format!("{high:.1}"))
        });
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{:.1}</td><td>{low}</td><td>{high}</td><td>{}</td></tr>",
            escaped(&figure.group),
            escaped(&figure.contender),
            figure.ns_per_op,
            figure.samples,
        );
    }
    format!(
        "<details><summary>All figures, in nanoseconds an operation</summary><div class=\"scroll\">\
         <table><thead><tr><th>group</th><th>contender</th><th>median</th><th>a quarter below</th>\
         <th>a quarter above</th><th>samples</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Vec<Figure> {
        let json = r#"[
            {"group": "lock/x", "contender": "native", "ns_per_op": 10, "samples": 9, "low": 9, "high": 12},
            {"group": "lock/x", "contender": "<peer> & \"co\"", "ns_per_op": 2e6, "samples": 9},
            {"group": "unheard of", "contender": "sandbox", "ns_per_op": 7, "samples": 5}]"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_figure_is_on_the_page_and_nothing_is_fetched() {
        let machine = Machine { cpu: "a CPU".into(), cpus: 2, kernel: "6.1".into() };
        let page = page(&figures(), &machine, Effort::QUICK);
        for part in ["lock/x", "unheard of", "a CPU", "Pipes, locks", "More", "10.0 ns", "2.00 ms"]
        {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), figures().len());
        assert!(page.contains("&lt;peer&gt; &amp; &quot;co&quot;") && !page.contains("<peer>"));
        for fetched in ["http", "src=", "@import", "url(", "<script", "<link"] {
            assert!(!page.contains(fetched), "{fetched}");
        }
        let (opened, closed) = (page.matches("<div").count(), page.matches("</div>").count());
        assert_eq!(opened, closed);
    }
}
