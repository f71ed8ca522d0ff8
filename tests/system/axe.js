// Opens a page in Chromium, wide and narrow, light and dark, and prints as JSON what axe-core finds
// wrong with it.
//   node axe.js CHROMIUM AXE FOLDER URL
const { spawn } = require("child_process");
const fs = require("fs");

const [chromium, axe, folder, url] = process.argv.slice(2);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function debuggerUrl() {
  for (;;) {
    try {
      const port = fs.readFileSync(`${folder}/DevToolsActivePort`, "utf8").split("\n")[0];
      const targets = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
      const page = targets.find((target) => target.type === "page");
      if (page) return page.webSocketDebuggerUrl;
    } catch {}
    await sleep(50);
  }
}

async function connect(address) {
  const socket = new WebSocket(address);
  await new Promise((open, failed) => Object.assign(socket, { onopen: open, onerror: failed }));
  let last = 0;
  const replies = new Map();
  const events = new Map();
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.id) replies.get(message.id)(message);
    else if (events.has(message.method)) events.get(message.method)();
  };
  const call = async (method, params = {}) => {
    const id = ++last;
    const reply = new Promise((done) => replies.set(id, done));
    socket.send(JSON.stringify({ id, method, params }));
    const { error, result } = await reply;
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  };
  const evaluate = async (expression) => {
    const { exceptionDetails, result } = await call("Runtime.evaluate", {
      expression, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  };
  return { call, evaluate, once: (event) => new Promise((done) => events.set(event, done)) };
}

const FINDINGS = `axe.run().then(({ violations, passes }) => ({
  passes: passes.length,
  violations: violations.map(({ id, nodes }) => id + ": " + nodes.map((node) => node.html).join(" ")),
  text: document.body.innerText,
  overflow: document.documentElement.scrollWidth - window.innerWidth,
}))`;

async function look({ call, evaluate, once }, width, scheme) {
  const mobile = width < 500;
  await call("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile });
  await call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  const loaded = once("Page.loadEventFired");
  await call("Page.navigate", { url });
  await loaded;
  const background = await evaluate("getComputedStyle(document.documentElement).backgroundColor + getComputedStyle(document.body).backgroundColor");
  await evaluate(fs.readFileSync(axe, "utf8"));
  const { data } = await call("Page.captureScreenshot", { captureBeyondViewport: true });
  fs.writeFileSync(`${folder}/${width}-${scheme}.png`, Buffer.from(data, "base64"));
  return { width, scheme, background, ...(await evaluate(FINDINGS)) };
}

async function main() {
  fs.rmSync(`${folder}/DevToolsActivePort`, { force: true });
  const browser = spawn(chromium, [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-port=0", "--remote-allow-origins=*", `--user-data-dir=${folder}`, "about:blank",
  ], { stdio: "ignore" });
  try {
    const page = await connect(await debuggerUrl());
    await page.call("Page.enable");
    const looks = [];
    for (const width of [1280, 390]) {
      for (const scheme of ["light", "dark"]) looks.push(await look(page, width, scheme));
    }
    console.log(JSON.stringify(looks));
  } finally {
    browser.kill("SIGKILL");
  }
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
