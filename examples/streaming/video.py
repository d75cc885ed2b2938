"""A video: images that the program draws, sent one after the other in a response that goes on.

Run it with CPython or MicroPython:  python video.py
Then open http://localhost:5000 in a browser.

"""
import asyncio
import struct

from microdot import Microdot, send_file

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
FRAMES_PER_SECOND = 20

WIDTH, HEIGHT = 160, 120  # pixels; in a BMP, a row is a multiple of four bytes
GROUND = 16  # rows
RADIUS = 12
SKY, GRASS, BALL = range(3)
PALETTE = bytes((0xfe, 0xea, 0xdb, 0, 0x0d, 0xa3, 0x65, 0, 0x0c, 0x41, 0xc2, 0))  # blue, green, red, nothing

# What browsers know as "motion JPEG" (multipart/x-mixed-replace): each image takes the place of the one before.
# A camera sends JPEG files, but any kind of image will do.
BOUNDARY = b'--frame\r\n'
TYPE = 'multipart/x-mixed-replace; boundary=frame'

app = Microdot()


def bmp_header():
    """Return what comes before the pixels of a BMP file with a byte for each: two headers, and the palette."""
    begin = 14 + 40 + len(PALETTE)
    size = WIDTH * HEIGHT
    return (struct.pack('<2sIII', b'BM', begin + size, 0, begin) +
            struct.pack('<IiiHHIIiiII', 40, WIDTH, HEIGHT, 1, 8, 0, size, 0, 0, len(PALETTE) // 4, 0) + PALETTE)


class Video:
    """An endless body. It is a class because MicroPython has no async generators."""

    def __init__(self):
        self.header = bmp_header()
        self.pixels = bytearray(bytes([GRASS]) * (WIDTH * GROUND) + bytes([SKY]) * (WIDTH * (HEIGHT - GROUND)))
        self.x, self.y = RADIUS, HEIGHT - RADIUS - 1  # the lowest row is the first, as in a BMP
        self.step, self.speed = 2, 0
        self.is_first = True

    def __aiter__(self):
        return self

    async def __anext__(self):
        """Return the next image as a part of the response."""
        if not self.is_first:
            await asyncio.sleep(1 / FRAMES_PER_SECOND)
        self.move()
        head = b'Content-Type: image/bmp\r\nContent-Length: %d\r\n\r\n' % (len(self.header) + len(self.pixels))
        # The boundary follows at once: a browser shows an image when it has seen its end.
        part = head + self.header + self.pixels + b'\r\n' + BOUNDARY
        if self.is_first:
            self.is_first = False
            part = BOUNDARY + part
        return part

    async def aclose(self):
        """The server calls this in the end, when the page is gone or the network is."""
        print('a page has left')

    def move(self):
        self.draw(SKY)
        self.x += self.step
        if not RADIUS <= self.x < WIDTH - RADIUS:
            self.step = -self.step
            self.x += 2 * self.step
        self.speed -= 1
        self.y += self.speed
        if self.y < GROUND + RADIUS:
            self.y, self.speed = GROUND + RADIUS, 12
        self.draw(BALL)

    def draw(self, colour):
        for row in range(-RADIUS, RADIUS + 1):
            half = int((RADIUS * RADIUS - row * row) ** 0.5)
            begin = (self.y + row) * WIDTH + self.x - half
            self.pixels[begin:begin + 2 * half + 1] = bytes([colour]) * (2 * half + 1)


@app.get('/')
async def index(request):
    return send_file(FOLDER + 'video.html')


@app.get('/video')
async def video(request):
    print('a page has come')
    return Video(), {'Content-Type': TYPE, 'Cache-Control': 'no-store'}


if __name__ == '__main__':
    app.run(port=5000, debug=True)
