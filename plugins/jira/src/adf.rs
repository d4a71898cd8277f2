//! Texts in the Atlassian Document Format, which Cloud takes. What stands in a text node does nothing: no mention, no link.

use serde_json::{Value as Json, json};

use crate::text::Text;

/// The document of a text.
pub(crate) fn document(text: &Text) -> Json {
    let mut content: Vec<Json> = Vec::new();
    content.extend(text.intro.as_deref().map(paragraph));
    if let Some(quote) = &text.quote {
        let lines: Vec<Json> = quote.lines().map(paragraph).collect();
        content.push(json!({ "type": "blockquote", "content": lines }));
    }
    content.extend(text.cut.as_deref().map(paragraph));
    if !text.facts.is_empty() {
        let items = text.facts.iter().map(|(name, value)| {
            let name = json!({ "type": "text", "text": format!("{name}: "), "marks": [{ "type": "strong" }] });
            let value = json!({ "type": "text", "text": value });
            let line = json!({ "type": "paragraph", "content": [name, value] });
            json!({ "type": "listItem", "content": [line] })
        });
        let items: Vec<Json> = items.collect();
        content.push(json!({ "type": "bulletList", "content": items }));
    }
    content.extend(text.mark.as_deref().map(paragraph));
    json!({ "type": "doc", "version": 1, "content": content })
}

/// A line. An empty text node is none, so an empty line has no content.
fn paragraph(line: &str) -> Json {
    let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
    if line.is_empty() {
        return json!({ "type": "paragraph", "content": [] });
    }
    json!({ "type": "paragraph", "content": [{ "type": "text", "text": line }] })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::document;
    use crate::text::Text;

    #[test]
    fn a_document_has_a_quotation_with_its_lines_and_a_list_of_facts() {
        let text = Text {
            intro: None,
            quote: Some("خُصم المبلغ\n\nمرتين".into()),
            cut: None,
            facts: vec![("النوع", "complaint".into())],
            mark: Some("mihwar:fb-1".into()),
        };
        let document = document(&text);
        assert_eq!((&document["type"], &document["version"]), (&json!("doc"), &json!(1)));
        let quote = &document["content"][0];
        assert_eq!(quote["type"], "blockquote");
        assert_eq!(quote["content"][0]["content"][0]["text"], "خُصم المبلغ");
        assert_eq!(quote["content"][1]["content"], json!([]));
        let item = &document["content"][1]["content"][0]["content"][0]["content"];
        assert_eq!(
            (&item[0]["text"], &item[1]["text"]),
            (&json!("النوع: "), &json!("complaint"))
        );
        assert_eq!(document["content"][2]["content"][0]["text"], "mihwar:fb-1");
    }
}
