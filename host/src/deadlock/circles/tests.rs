use super::*;

#[test]
fn components_are_what_leads_to_itself() {
    let of = |leads: &[&[usize]]| {
        let leads: Vec<Vec<usize>> = leads.iter().map(|to| to.to_vec()).collect();
        components(&leads)
    };
    let two = of(&[&[1], &[0]]);
    assert_eq!(two[0], two[1]);
    let chain = of(&[&[1], &[2], &[]]);
    assert!(chain[0] != chain[1] && chain[1] != chain[2]);
    let (circle, beside) = (of(&[&[1], &[2], &[0, 3], &[4], &[3]]), 3);
    assert!(circle[0] == circle[1] && circle[1] == circle[2] && circle[2] != circle[beside]);
    assert_eq!(circle[3], circle[4]);
}

#[test]
fn a_chain_of_a_hundred_thousand_takes_no_stack() {
    let leads: Vec<Vec<usize>> = (0..100_000).map(|at| vec![(at + 1) % 100_000]).collect();
    let component = components(&leads);
    assert!(component.iter().all(|own| *own == component[0]));
}
