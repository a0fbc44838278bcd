# SPDX-License-Identifier: Apache-2.0
"""Both ends of the WebSocket test.

websocket.py serve PORT         echoes messages
websocket.py talk URI SILENCE   sends messages of many sizes, and again after so many silent seconds
"""
import asyncio
import random
import sys

import websockets


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def serve(port):
    async with websockets.serve(echo, None, int(port), max_size=None):
        print("ready", flush=True)
        await asyncio.Future()


async def talk(uri, silence):
    source = random.Random(1)
    async with websockets.connect(uri, max_size=None) as websocket:
        for pause in (float(silence), 0):
            for size in [0, 1, 125, 126, 65535, 65536, 1 << 20] + [source.randrange(4096) for _ in range(500)]:
                message = source.randbytes(size)
                await websocket.send(message)
                if await websocket.recv() != message:
                    sys.exit(f"a message of {size} bytes came back changed")
            await asyncio.sleep(pause)
    print("ok")


asyncio.run({"serve": serve, "talk": talk}[sys.argv[1]](*sys.argv[2:]))
