//! Anthropic's messages API: `POST /v1/messages`, streamed.

use super::http::Response;
use super::{ToolResult, Turn};
use serde_json::{Value, json};

/// The next message of the conversation that `body` holds.
pub(super) fn answer<'a>(
    body: &Value,
    turn: impl FnOnce(Vec<ToolResult>, bool) -> Turn<'a>,
) -> Response {
    let tools = body["tools"].as_array().into_iter().flatten();
    let shell = tools
        .filter_map(|tool| tool["name"].as_str())
        .find(|name| matches!(*name, "Bash" | "bash"))
        .map(str::to_owned);
    let (block, delta, stop) = match turn(results(body), shell.is_some()) {
        Turn::Run { number, command } => (
            json!({ "type": "tool_use", "id": format!("toolu_{number}"), "name": shell, "input": {} }),
            json!({
                "type": "input_json_delta",
                "partial_json": json!({ "command": command, "description": "A step of the script" }).to_string(),
            }),
            "tool_use",
        ),
        Turn::Say(text) => (
            json!({ "type": "text", "text": "" }),
            json!({ "type": "text_delta", "text": text }),
            "end_turn",
        ),
    };
    let usage = json!({ "input_tokens": 1, "output_tokens": 1 });
    if body["stream"] != true {
        let mut content = block;
        if let Some(text) = delta["text"].as_str() {
            content["text"] = text.into();
        }
        return Response::json(&json!({
            "id": "msg_scripted", "type": "message", "role": "assistant", "model": body["model"],
            "content": [content], "stop_reason": stop, "stop_sequence": null, "usage": usage,
        }));
    }
    let message = json!({
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": body["model"],
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    let ended = json!({ "stop_reason": stop, "stop_sequence": null });
    let events = [
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": ended, "usage": { "output_tokens": 1 } }),
        json!({ "type": "message_stop" }),
    ];
    let named: Vec<_> =
        events.iter().map(|event| (event["type"].as_str().unwrap_or(""), event.clone())).collect();
    Response::events(&named)
}

fn results(body: &Value) -> Vec<ToolResult> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let blocks = messages.filter_map(|message| message["content"].as_array()).flatten();
    blocks
        .filter(|block| block["type"] == "tool_result")
        .map(|block| ToolResult {
            text: text(&block["content"]),
            failed: block["is_error"] == true,
        })
        .collect()
}

fn text(content: &Value) -> String {
    match content {
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        content => content.as_str().unwrap_or_default().to_owned(),
    }
}
