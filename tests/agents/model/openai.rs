//! OpenAI's two APIs: responses (`POST /v1/responses`) and chat (`POST /v1/chat/completions`),
//! both streamed.

use super::http::Response;
use super::{ToolResult, Turn};
use serde_json::{Value, json};

/// The next items of the conversation that `body` holds.
pub(super) fn responses<'a>(
    body: &Value,
    turn: impl FnOnce(Vec<ToolResult>, bool) -> Turn<'a>,
) -> Response {
    let tools = body["tools"].as_array().into_iter().flatten();
    let shell = tools
        .filter_map(|tool| tool["name"].as_str())
        .find(|name| matches!(*name, "shell" | "shell_command" | "exec_command"))
        .map(str::to_owned);
    let items = body["input"].as_array().into_iter().flatten();
    let results = items
        .filter(|item| item["type"] == "function_call_output")
        .map(|item| result(&item["output"]))
        .collect();
    let item = match (turn(results, shell.is_some()), shell) {
        (Turn::Run { number, command }, Some(shell)) => {
            let arguments = match shell.as_str() {
                "shell" => json!({ "command": ["bash", "-lc", command] }),
                "exec_command" => json!({ "cmd": command, "yield_time_ms": 30_000 }),
                _ => json!({ "command": command }),
            };
            json!({
                "type": "function_call", "id": format!("fc_{number}"), "name": shell,
                "call_id": format!("call_{number}"), "arguments": arguments.to_string(),
            })
        }
        (Turn::Run { .. }, None) => message("There is no shell."),
        (Turn::Say(text), _) => message(text),
    };
    let usage = json!({
        "input_tokens": 1, "input_tokens_details": null, "output_tokens": 1,
        "output_tokens_details": null, "total_tokens": 2,
    });
    Response::events(&[
        (
            "response.created",
            json!({ "type": "response.created", "response": { "id": "resp_scripted" } }),
        ),
        (
            "response.output_item.done",
            json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        ),
        (
            "response.completed",
            json!({ "type": "response.completed", "response": { "id": "resp_scripted", "usage": usage } }),
        ),
    ])
}

/// The next message of the conversation that `body` holds.
pub(super) fn chat<'a>(
    body: &Value,
    turn: impl FnOnce(Vec<ToolResult>, bool) -> Turn<'a>,
) -> Response {
    let tools = body["tools"].as_array().into_iter().flatten();
    let shell = tools
        .filter_map(|tool| tool["function"]["name"].as_str())
        .find(|name| *name == "bash")
        .map(str::to_owned);
    let messages = body["messages"].as_array().into_iter().flatten();
    let results = messages
        .filter(|message| message["role"] == "tool")
        .map(|message| result(&message["content"]))
        .collect();
    let (delta, reason) = match turn(results, shell.is_some()) {
        Turn::Run { number, command } => {
            let arguments = json!({ "command": command, "description": "A step of the script" });
            let call = json!({
                "index": 0, "id": format!("call_{number}"), "type": "function",
                "function": { "name": shell, "arguments": arguments.to_string() },
            });
            (json!({ "role": "assistant", "tool_calls": [call] }), "tool_calls")
        }
        Turn::Say(text) => (json!({ "role": "assistant", "content": text }), "stop"),
    };
    let chunk = |delta: Value, reason: Value| {
        json!({
            "id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0,
            "model": body["model"],
            "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }],
        })
    };
    if body["stream"] != true {
        return Response::json(&json!({
            "id": "chatcmpl-scripted", "object": "chat.completion", "created": 0,
            "model": body["model"],
            "choices": [{ "index": 0, "message": delta, "finish_reason": reason }],
        }));
    }
    Response::events(&[
        ("", chunk(delta, Value::Null)),
        ("", chunk(json!({}), reason.into())),
        ("", "[DONE]".into()),
    ])
}

fn message(text: &str) -> Value {
    json!({
        "type": "message", "id": "msg_scripted", "role": "assistant",
        "content": [{ "type": "output_text", "text": text }],
    })
}

/// A result is a text, or parts that have texts.
fn result(output: &Value) -> ToolResult {
    let text = match output {
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        output => output.as_str().unwrap_or_default().to_owned(),
    };
    ToolResult { text, failed: false }
}
