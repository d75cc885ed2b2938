"""WebSocket echo as an ASGI application without a framework."""


async def app(scope, receive, send):
    await receive()  # that there is a handshake
    await send({'type': 'websocket.accept'})
    while (event := await receive())['type'] == 'websocket.receive':
        if event.get('text') is not None:
            await send({'type': 'websocket.send', 'text': event['text']})
        else:
            await send({'type': 'websocket.send', 'bytes': event['bytes']})
