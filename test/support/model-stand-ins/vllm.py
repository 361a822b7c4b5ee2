#!/usr/bin/python3
"""Stands for `vllm serve` and for `ollama`: takes the same words, needs the same secrets, and answers chats with what it was given."""
import http.server
import json
import os
import sys
import urllib.request

name = os.path.basename(sys.argv[0])
key = os.environ.get("VLLM_API_KEY", "")
said = "token of %d letters" % len(os.environ.get("HF_TOKEN", "")) if name == "vllm" else "no token"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def allowed(self):
        return key == "" or self.headers.get("authorization") == "Bearer " + key

    def do_GET(self):
        if self.path.endswith("/models") and self.allowed():
            self.answer(200, {"object": "list", "data": []})
        else:
            self.answer(200 if self.path in ("/health", "/") else 401, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path == "/pull":
            with open("/models/" + json.loads(body)["model"], "w", encoding="utf-8") as file:
                file.write("weights")
            self.answer(200, {})
        elif not self.allowed():
            self.answer(401, {"error": {"message": "a wrong key", "type": "invalid_request_error"}})
        else:
            message = {"role": "assistant", "content": "%s with %s" % (name, said)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            self.answer(200, {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage})

    def log_message(self, *_):
        pass


def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:11434" + path, data), timeout=5).read()


command = sys.argv[1]
if command == "serve":
    port = 8000 if name == "vllm" else int(os.environ["OLLAMA_HOST"].rsplit(":", 1)[1])
    http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()
elif command == "list":
    ask("/")
elif command == "pull":
    ask("/pull", {"model": sys.argv[2]})
