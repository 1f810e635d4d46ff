// Asks once through the official SDK and prints {message, texts} or {error} as JSON.
// Usage: node finalmessage.mjs SDK-MODULE PROMPT; ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY are read by the SDK.
import { pathToFileURL } from 'node:url';

const [sdk, prompt] = process.argv.slice(2);
const { default: Anthropic } = await import(pathToFileURL(sdk));
const client = new Anthropic({ maxRetries: 0, timeout: 20_000 });
const texts = [];
let out;
try {
  const stream = client.messages.stream({
    model: 'claude-sonnet-4-5',
    max_tokens: 1024,
    messages: [{ role: 'user', content: prompt }],
  });
  stream.on('text', (text) => texts.push(text));
  out = { message: await stream.finalMessage(), texts };
} catch (e) {
  out = { error: { name: e.constructor.name, status: e.status ?? 0, type: e.type ?? '', message: String(e.message) }, texts };
}
console.log(JSON.stringify(out));
