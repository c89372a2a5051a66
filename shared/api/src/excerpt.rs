/// A name sent by the client, short enough to be quoted.
pub(crate) fn excerpt(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}
