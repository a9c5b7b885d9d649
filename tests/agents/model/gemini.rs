//! Google's Gemini API: `POST /v1beta/models/MODEL:streamGenerateContent`.

use super::http::Response;
use super::{ToolResult, Turn};
use serde_json::{Value, json};

const SHELL: &str = "run_shell_command";

/// The next content of the conversation that `body` holds.
pub(super) fn answer<'a>(
    body: &Value,
    stream: bool,
    turn: impl FnOnce(Vec<ToolResult>, bool) -> Turn<'a>,
) -> Response {
    let tools = body["tools"].as_array().into_iter().flatten();
    let has_shell = tools
        .filter_map(|tool| tool["functionDeclarations"].as_array())
        .flatten()
        .any(|function| function["name"] == SHELL);
    let contents = body["contents"].as_array().into_iter().flatten();
    let parts = contents.filter_map(|content| content["parts"].as_array()).flatten();
    let results = parts
        .filter(|part| part["functionResponse"]["name"] == SHELL)
        .map(|part| {
            let response = &part["functionResponse"]["response"];
            ToolResult {
                text: response["output"]
                    .as_str()
                    .or(response["error"].as_str())
                    .unwrap_or("")
                    .into(),
                failed: response["error"].is_string(),
            }
        })
        .collect();
    let part = match turn(results, has_shell) {
        Turn::Run { command, .. } => json!({
            "functionCall": { "name": SHELL, "args": { "command": command, "description": "A step of the script" } }
        }),
        Turn::Say(text) => json!({ "text": text }),
    };
    let content = json!({
        "candidates": [{
            "index": 0, "finishReason": "STOP", "content": { "role": "model", "parts": [part] },
        }],
        "usageMetadata": { "promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2 },
    });
    if stream { Response::events(&[("", content)]) } else { Response::json(&content) }
}
