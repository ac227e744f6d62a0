#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Drive Chromium without a window over its debugging pipe: browse.py BROWSER PROFILE URL.

Each line of standard input is an expression of JavaScript that becomes true: it is tried
in the page until it is, and then answered "ok" on standard output. One that does not in
TIMEOUT seconds is answered with what the page shows instead, and ends this with 1.
"""
import json
import os
import subprocess
import sys
import time

TIMEOUT = 60
EVERY = 0.05


class Browser:
    """A browser with one page; commands go to descriptor 3 of it, answers come from 4."""

    def __init__(self, program, profile):
        theirs_in, self.out = os.pipe()
        self.replies, theirs_out = os.pipe()

        def arrange():
            # Twice, since one of them may be in the place of the other.
            low, high = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(low, 3)
            os.dup2(high, 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=arrange, close_fds=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.number = 0
        self.pending = b""
        self.session = None

    def read_message(self):
        while b"\0" not in self.pending:
            data = os.read(self.replies, 65536)
            if not data:
                sys.exit("browse: the browser has gone")
            self.pending += data
        message, self.pending = self.pending.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        """One command and its result; events that come meanwhile are of no interest."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.out, json.dumps(command).encode() + b"\0")
        while True:
            message = self.read_message()
            if message.get("id") == self.number:
                return message.get("result", {})

    def open(self, url):
        target = self.call("Target.createTarget", url=url)["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]

    def evaluate(self, expression):
        return self.call("Runtime.evaluate", expression=expression,
                         returnByValue=True).get("result", {}).get("value")

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait()


def becomes_true(browser, expression):
    """Tried again and again: only the page knows when it is drawn."""
    end = time.monotonic() + TIMEOUT
    while browser.evaluate(expression) is not True:
        if time.monotonic() > end:
            return False
        time.sleep(EVERY)
    return True


def answer(browser):
    """Lines in, answers out; whether all became true."""
    for line in iter(sys.stdin.readline, ""):
        if not becomes_true(browser, line):
            print("not true:", line.strip(), "-- the page:",
                  json.dumps(browser.evaluate("document.body.innerText")), flush=True)
            return False
        print("ok", flush=True)
    return True


def main():
    program, profile, url = sys.argv[1:]
    browser = Browser(program, profile)
    try:
        browser.open(url)
        is_well = answer(browser)
    finally:
        browser.close()
    sys.exit(0 if is_well else 1)


main()
