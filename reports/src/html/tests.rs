use super::*;

#[test]
fn sections_stand_in_the_order_of_reading() {
    let section = |place, title: &str| Section::new(place, title, html! { p { "x" } });
    let sections = vec![
        section(Place::Raw, "Raw"),
        section(Place::Stacks, "Second stacks"),
        section(Place::Verdict, "Result"),
        section(Place::Stacks, "Third stacks"),
    ];
    let page = Page { title: "</title><script>x</script>\u{202e}".into(), sections }.document();
    let places: Vec<_> = ["id=\"verdict\"", "id=\"stacks\"", "id=\"stacks-2\"", "id=\"raw\""]
        .map(|anchor| page.find(anchor).unwrap())
        .into();
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("<title>&lt;/title&gt;&lt;script&gt;x") && !page.contains('\u{202e}'));
    assert!(page.ends_with("</html>\n"));
}
