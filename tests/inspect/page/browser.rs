//! A headless browser, driven over the DevTools protocol. The crates that wrap it need a C compiler or bring the whole protocol, a
//! hundred thousand generated lines; a dozen of its calls are enough here.

use std::{
    env,
    io::{BufRead, BufReader},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// The browsers that speak this protocol, by the names that systems give them.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// The browser of `WGPU_ATTENTION_BROWSER`, or the first on the path.
pub(crate) fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os("WGPU_ATTENTION_BROWSER") {
        return Some(named.into());
    }
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

/// A browser with one page, of 1400 x 1000 pixels.
pub(crate) struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    session: Value,
    calls: u64,
    /// What the page reported while something else was awaited.
    pub events: Vec<Value>,
}

impl Browser {
    pub(crate) fn open(program: &Path, profile: &Path) -> Self {
        let mut command = Command::new(program);
        let fixed = ["--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu", "--remote-debugging-port=0"];
        command.args(fixed).args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--window-size=1400,1000", "--hide-scrollbars"]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the browser starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("DevTools listening on ")?.1.to_string()));
        let address = address.expect("the browser says where it listens");
        // What else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let host = address.trim_start_matches("ws://").split('/').next().expect("a host");
        let stream = TcpStream::connect(host).expect("the browser listens");
        let (socket, _) = tungstenite::client(address.as_str(), stream).expect("it speaks");
        let mut browser = Self { child, socket, session: Value::Null, calls: 0, events: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let size = json!({ "width": 1400, "height": 1000, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", size);
        browser
    }

    /// Calls a method and awaits its result.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": parameters });
        if !self.session.is_null() {
            call["sessionId"] = self.session.clone();
        }
        self.socket.send(Message::text(call.to_string())).expect("the browser listens");
        loop {
            let message = self.next();
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn next(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().expect("the browser answers") {
                return serde_json::from_str(&text).expect("it speaks JSON");
            }
        }
    }

    /// Loads a file and awaits its end.
    pub(crate) fn load(&mut self, file: &Path) {
        self.events.clear();
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next();
            self.events.push(event);
        }
    }

    /// The value of an expression.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let all = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", all);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Moves the mouse to a point of an element, in shares of its size; it is scrolled into view before.
    pub(crate) fn hover(&mut self, selector: &str, [x, y]: [f64; 2]) {
        let of = format!("document.querySelector({})", json!(selector));
        let place = self.evaluate(&format!(
            "(() => {{ {of}.scrollIntoView({{ block: 'center' }}); const r = {of}.getBoundingClientRect(); \
             return [r.left + r.width * {x}, r.top + r.height * {y}]; }})()"
        ));
        self.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": place[0], "y": place[1] }));
        self.settle();
    }

    /// Turns the wheel where the mouse was moved to last.
    pub(crate) fn wheel(&mut self, selector: &str, amount: f64) {
        let rectangle = format!("document.querySelector({}).getBoundingClientRect()", json!(selector));
        let place = self.evaluate(&format!(
            "(() => {{ const r = {rectangle}; return [r.left + r.width / 2, r.top + r.height / 2]; }})()"
        ));
        let turn = json!({ "type": "mouseWheel", "x": place[0], "y": place[1], "deltaX": 0, "deltaY": amount });
        self.call("Input.dispatchMouseEvent", turn);
        self.settle();
    }

    /// Until two frames have been drawn.
    pub(crate) fn settle(&mut self) {
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
    }

    /// What is on the screen, as PNG in base64.
    pub(crate) fn screenshot(&mut self) -> String {
        self.call("Page.captureScreenshot", json!({ "format": "png" }))["data"].as_str().expect("a picture").into()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
