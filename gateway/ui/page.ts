// The control page: one small document without scripts or outside resources; it shows nothing that needs a token.

export interface PageFacts {
  readonly version: string;
  readonly phase: "starting" | "ready" | "draining";
  readonly uptimeSeconds: number;
  readonly address: string;
  readonly needsToken: boolean;
  readonly demo: boolean;
  readonly modelsUp: number;
  readonly modelsTotal: number;
}

export function renderPage(facts: PageFacts): string {
  const ready = facts.phase === "ready";
  const call = [
    `curl ${facts.address}/v1/chat/completions \\`,
    ...(facts.needsToken ? [`  -H "Authorization: Bearer $TOKEN" \\`] : []),
    `  -H "Content-Type: application/json" \\`,
    `  -d '{"messages":[{"role":"user","content":"Hello"}],"stream":true}'`,
  ].join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>OpenClaw Stack gateway</title>
<style>
:root { --ink: #1b2430; --soft: #5b6775; --line: #d9dfe6; --card: #fff; --ground: #f4f6f8; --good: #12805c; --wait: #b26a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf0; --soft: #9aa7b5; --line: #2b3541; --card: #171e26; --ground: #0f141a; --good: #3ecf9a; --wait: #f0b24a; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; padding: 6vh 1.25rem; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 44rem; margin: 0 auto; }
h1 { margin: 0 0 .25rem; font-size: 1.6rem; letter-spacing: -.01em; }
h2 { margin: 0 0 .75rem; font-size: 1rem; }
p { margin: .5rem 0; color: var(--soft); }
section { margin-top: 1.25rem; padding: 1.25rem 1.4rem; background: var(--card); border: 1px solid var(--line); border-radius: .7rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem; margin: 0; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: .1rem 0 0; font-weight: 600; }
.state::before { content: ""; display: inline-block; width: .6rem; height: .6rem; margin-right: .5rem; border-radius: 50%; background: currentColor; }
.good { color: var(--good); }
.wait { color: var(--wait); }
pre { margin: 0; padding: 1rem; overflow-x: auto; background: var(--ground); border-radius: .5rem; font: .85rem/1.6 ui-monospace, monospace; }
code { font: .9em ui-monospace, monospace; }
</style>
</head>
<body>
<main>
<h1>OpenClaw Stack gateway</h1>
<p>One address for all models, with OpenAI's API.</p>
<section>
<dl>
<div><dt>Status</dt><dd class="state ${ready ? "good" : "wait"}">${facts.phase}</dd></div>
<div><dt>Model servers</dt><dd>${facts.demo ? "demonstration" : `${facts.modelsUp} of ${facts.modelsTotal} answer`}</dd></div>
<div><dt>Up for</dt><dd>${duration(facts.uptimeSeconds)}</dd></div>
<div><dt>Version</dt><dd>${escapeHtml(facts.version)}</dd></div>
</dl>
</section>
<section>
<h2>Call it</h2>
<pre>${escapeHtml(call)}</pre>
<p>${facts.needsToken ? "<code>$TOKEN</code> is the gateway's token: <code>npm run token</code> prints it. " : ""}The models are listed at <code>/v1/models</code>.</p>
</section>
<section>
<h2>Watch it</h2>
<p><code>/healthz</code> alive · <code>/readyz</code> ready · <code>/readyz/models</code> a model answers · <code>/metrics</code> figures for Prometheus</p>
</section>
</main>
</body>
</html>
`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (letter) => entities[letter] ?? letter);
