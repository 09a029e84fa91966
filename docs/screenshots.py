#!/usr/bin/env python3
"""Makes docs/screenshots/*.png from a running demo, by Chromium through chromedriver (both from the distribution).

    ./run                       # in another terminal; it prints address, e-mail and password
    docs/screenshots.py http://127.0.0.1:8080 EMAIL PASSWORD
"""

import base64
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

DRIVER = "http://127.0.0.1:9517"
FOLDER = pathlib.Path(__file__).parent / "screenshots"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C WebDriver, section 12.1


def call(method, path, body=None):
    data = None if method == "GET" else json.dumps(body or {}).encode()
    request = urllib.request.Request(DRIVER + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["value"]


class Browser:
    """One window, 1280 wide, light."""

    def __init__(self):
        flags = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--force-color-profile=srgb"]
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": flags}}}}
        self.session = "/session/" + call("POST", "/session", wanted)["sessionId"]

    def size(self, width, height):
        call("POST", self.session + "/window/rect", {"width": width, "height": height})

    def open(self, url):
        call("POST", self.session + "/url", {"url": url})

    def find(self, css):
        found = call("POST", self.session + "/element", {"using": "css selector", "value": css})
        return self.session + "/element/" + found[ELEMENT]

    def type(self, css, text):
        call("POST", self.find(css) + "/value", {"text": text})

    def click(self, css):
        call("POST", self.find(css) + "/click")

    def run(self, script):
        return call("POST", self.session + "/execute/sync", {"script": script, "args": []})

    def save(self, name):
        time.sleep(0.5)  # what fades in has faded in
        image = base64.b64decode(call("GET", self.session + "/screenshot"))
        (FOLDER / f"{name}.png").write_bytes(image)
        print(f"{name}.png  {len(image) // 1024} kB")


def shoot(browser, base, email, password):
    browser.size(1280, 1040)
    browser.open(base + "/desk")
    browser.type("[name=email]", email)
    browser.type("[name=password]", password + "\n")
    time.sleep(1.5)
    ticket = "[...document.querySelectorAll('a[href^=\"/desk/tickets/\"]')].find(a => a.textContent.includes('suppliers'))"
    browser.open(base + browser.run(f"return {ticket}.getAttribute('href')"))
    browser.save("ticket")
    browser.open(base + "/desk/traces/a2c7a33bca653b76b9b0662e31f7a93b")
    browser.save("trace")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    FOLDER.mkdir(exist_ok=True)
    driver = subprocess.Popen(["chromedriver", "--port=9517"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(2)
        browser = Browser()
        try:
            shoot(browser, *sys.argv[1:])
        finally:
            call("DELETE", browser.session)
    finally:
        driver.terminate()


if __name__ == "__main__":
    main()
