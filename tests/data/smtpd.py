"""A real SMTP server (aiosmtpd) for the tests.

    smtpd.py FOLDER [PORT]

Prints its port, keeps each mail that it takes as FOLDER/NNNN.json ({"from", "to", "data": base64}), and ends when its
standard input closes, so that it never outlives the test that started it. What it answers depends on the recipient:
reject-550@ is refused for good, reject-once-550@ the first time, defer-451@ for now, and at drop@ the connection breaks.
"""

import asyncio
import base64
import json
import os
import sys

from aiosmtpd.smtp import SMTP


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0
        self.refused = set()

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        local_part = address.split("@")[0]
        if local_part == "reject-550":
            return "550 5.1.1 No such mailbox here"
        if local_part == "reject-once-550" and address not in self.refused:
            self.refused.add(address)
            return "550 5.1.1 No such mailbox here"
        if local_part == "defer-451":
            return "451 4.7.1 Greylisted, try again later"
        if local_part == "drop":
            server.transport.abort()
            return "421 4.3.0 Gone"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "data": base64.b64encode(envelope.original_content).decode(),
        }
        scratch = os.path.join(self.folder, ".scratch")
        with open(scratch, "w") as file:
            json.dump(mail, file)
        os.rename(scratch, os.path.join(self.folder, f"{self.count:04}.json"))
        return f"250 2.0.0 Taken as {self.count}"


async def main():
    folder = sys.argv[1]
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    handler = Handler(folder)
    handler.count = len(os.listdir(folder))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="smtpd.test"), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())
