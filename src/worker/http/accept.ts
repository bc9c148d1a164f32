// The media types that a client accepts, by its Accept header.

/** True if the header names the media type itself, with a weight above 0. A range of types does not count. */
export function accepts(request: Request, mediaType: string): boolean {
  const ranges = (request.headers.get("accept") ?? "").toLowerCase().split(",");
  return ranges.some((range) => {
    const [name, ...parameters] = range.split(";").map((part) => part.trim());
    return name === mediaType && !parameters.some((each) => /^q\s*=\s*0(\.0*)?$/.test(each));
  });
}
