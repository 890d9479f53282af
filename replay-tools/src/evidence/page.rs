//! The page in a pack: it explains the pack and checks it again in a browser, with no server and no network.

use serde_json::Value;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");

/// The page with its data.
pub(super) fn page(data: &Value) -> String {
    // Within a script no text may look like the end of one, or like a comment.
    let data = data.to_string().replace('<', "\\u003c");
    PAGE.replace("{{SCRIPT}}", SCRIPT).replace("{{DATA}}", &data)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::page;

    #[test]
    fn nothing_in_the_data_can_end_the_script_that_it_stands_in() {
        let page = page(&json!({ "reason": "</script><script>alert(1)</script><!--" }));
        assert!(page.contains("\\u003c/script>") && page.matches("</script>").count() == 2, "{page}");
    }
}
