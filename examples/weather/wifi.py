"""Wi-Fi for a board: it is connected beside all else, and again when the connection was lost.

The name of the network and its password are in wifi_settings.py. A computer needs neither of the two files to do
anything.

"""
import asyncio

try:
    import network
except ImportError:  # a computer
    network = None

PERIOD = 5  # seconds between two looks at the connection
PATIENCE = 20  # seconds that an attempt to connect may take


def start():
    """Connect, and stay connected as long as the event loop runs. Call it before the server starts."""
    if network:
        import wifi_settings as settings
        network.hostname(settings.HOSTNAME)
        station = network.WLAN(network.STA_IF)
        station.active(True)  # from now on the server can open its port, connected or not
        asyncio.create_task(stay_connected(station, settings.NAME, settings.PASSWORD))


async def stay_connected(station, name, password):
    # Some boards connect again by themselves, others never do.
    while True:
        if not station.isconnected():
            await connect(station, name, password)
        await asyncio.sleep(PERIOD)


async def connect(station, name, password):
    """Try once to connect."""
    print('Wi-Fi: connecting to', name)
    try:
        station.disconnect()  # what is left of the last attempt would make the next one fail
        station.connect(name, password)
    except OSError as exc:  # the next attempt will come
        print('Wi-Fi:', exc)
    for _ in range(PATIENCE):
        if station.isconnected():
            print('Wi-Fi: connected, the address of the board is', station.ifconfig()[0])
            return
        await asyncio.sleep(1)
    print('Wi-Fi: not connected')
