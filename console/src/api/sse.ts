/** Server-Sent Events over `fetch`: the browser's own reader cannot send a key. */

export interface StreamEvent {
  id: string;
  type: string;
  data: string;
}

/** Puts events together from pieces of text, wherever they were cut. */
export class EventReader {
  private rest = "";

  push(piece: string): StreamEvent[] {
    const lines = (this.rest + piece).split("\n\n");
    this.rest = lines.pop() ?? "";
    return lines.map(readEvent).filter((event) => event !== null);
  }
}

function readEvent(block: string): StreamEvent | null {
  const event: StreamEvent = { id: "", type: "message", data: "" };
  let isEvent = false;
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue; // a comment, such as a heartbeat
    const value = line.slice(colon + 1).replace(/^ /, "");
    switch (line.slice(0, colon)) {
      case "id":
        event.id = value;
        break;
      case "event":
        event.type = value;
        break;
      case "data":
        event.data += (isEvent ? "\n" : "") + value;
        isEvent = true;
        break;
    }
  }
  return isEvent ? event : null;
}

export interface Follow {
  kinds: readonly string[];
  key: string;
  signal: AbortSignal;
  onEvent: (event: StreamEvent) => void;
  /** Connected: from here on nothing is missed. What is watched was read before, and is to be read again; after a `gap`, everything. */
  onOpen: (gap: boolean) => void;
  onClosed: () => void;
}

const WAIT_MIN_MS = 1_000;
const WAIT_MAX_MS = 30_000;

/** Follows what happens of `kinds`, gathered second by second, until aborted; comes back after each break. */
export async function follow({ kinds, key, signal, onEvent, onOpen, onClosed }: Follow): Promise<void> {
  let wait = WAIT_MIN_MS;
  let isFirst = true;
  const address = `/v1/events?gathered=true&kinds=${encodeURIComponent(kinds.join(","))}`;
  while (!signal.aborted) {
    try {
      const headers = { authorization: `Bearer ${key}`, accept: "text/event-stream" };
      const response = await fetch(address, { headers, signal });
      if (response.status === 401 || response.status === 403) return;
      if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
      const reader = new EventReader();
      const pieces = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let isOpen = false; ; isOpen = true) {
        const { done, value } = await pieces.read();
        if (done) break;
        // The first that is sent says that nothing is missed from here on.
        if (!isOpen) {
          onOpen(!isFirst);
          isFirst = false;
          wait = WAIT_MIN_MS;
        }
        for (const event of reader.push(value)) onEvent(event);
      }
    } catch {
      // broken off, or never there: tried again below
    }
    if (signal.aborted) return;
    onClosed();
    await pause(wait, signal);
    wait = Math.min(2 * wait, WAIT_MAX_MS);
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
