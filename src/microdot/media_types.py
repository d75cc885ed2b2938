"""Media types of files, those that the core does not have itself. ``microdot.file_body`` loads it when needed."""

# One string: as a dictionary they would take 8 KB of a board's heap. Behind each type are the extensions of its names,
# with the subtype where that is not the same.
TYPES = ('audio/ aac= flac= m4a=mp4 mid=midi mp3=mpeg oga=ogg ogg= opus=ogg wav= weba=webm '
         'image/ apng= avif= bmp= ico=x-icon jpeg= tif=tiff tiff= webp= '
         'application/ bz2=x-bzip2 gz=gzip jsonld=ld+json map=json pdf= rtf= tar=x-tar wasm= '
         'webmanifest=manifest+json xhtml=xhtml+xml xml= yaml= yml=yaml zip= '
         'text/ csv= htm=html ics=calendar md=markdown mjs=javascript vtt= '
         'video/ mov=quicktime mp4= mpeg= ogv=ogg webm= '
         'font/ otf= ttf= woff= woff2= ')


def find_type(extension: str) -> 'str | None':
    """Return the media type of an extension, which is in lower case, ``None`` if it is not known."""
    start = TYPES.find(' %s=' % extension) + 1
    slash = TYPES.rfind('/', 0, start)
    name, _, subtype = TYPES[start:TYPES.find(' ', start)].partition('=')
    return TYPES[TYPES.rfind(' ', 0, slash) + 1:slash + 1] + (subtype or name) if start else None
