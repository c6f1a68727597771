/**
 * The one place that owns a WebSocket of the platform (a browser's, Node's, or one that is handed in).
 *
 * Internal: nothing here is part of the package's interface.
 */

/** What we use of a WebSocket; `WebSocket` itself fits. */
export interface WebSocketLike {
  readonly readyState: number;
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export interface SocketEvents {
  readonly onOpen: () => void;
  readonly onMessage: (data: string | Uint8Array) => void;
  /** Called exactly once, unless the socket was closed from here. */
  readonly onClose: (code: number, reason: string) => void;
}

const OPEN = 1;
export const ABNORMAL_CLOSURE = 1006;

/** A WebSocket whose end is told exactly once, and which can be given up without waiting for the other side. */
export class Socket {
  private readonly socket: WebSocketLike;
  private readonly events: SocketEvents;
  private isOver = false;

  /** Throws what the constructor of WebSocket throws: SyntaxError for an address that is none. */
  constructor(url: string, protocols: readonly string[], events: SocketEvents, constructor?: WebSocketConstructor) {
    this.events = events;
    const make = constructor ?? defaultConstructor();
    this.socket = new make(url, [...protocols]);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      if (!this.isOver) events.onOpen();
    };
    this.socket.onmessage = (event: { readonly data: unknown }) => this.received(event.data);
    this.socket.onclose = (event: { readonly code?: number; readonly reason?: string }) =>
      this.finish(event.code ?? ABNORMAL_CLOSURE, event.reason ?? "");
    // An error is always followed by `close`; without a listener some runtimes report it as uncaught.
    this.socket.onerror = () => undefined;
  }

  /** Hand a message to the platform; false when the socket is not open, so that nothing was sent. */
  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (this.isOver || this.socket.readyState !== OPEN) return false;
    this.socket.send(data);
    return true;
  }

  /** Close politely; `onClose` is not called any more. */
  close(code = 1000, reason = ""): void {
    this.isOver = true;
    this.end(code, reason);
  }

  /** Treat the socket as dead now, without waiting for the closing handshake; `onClose` tells it. */
  abandon(code: number, reason: string): void {
    this.finish(code, reason);
    this.end(1000, "");
  }

  private received(data: unknown): void {
    if (this.isOver) return;
    if (typeof data === "string") this.events.onMessage(data);
    else if (data instanceof ArrayBuffer) this.events.onMessage(new Uint8Array(data));
    else if (ArrayBuffer.isView(data)) {
      this.events.onMessage(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }

  private finish(code: number, reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.events.onClose(code, reason);
  }

  private end(code: number, reason: string): void {
    try {
      this.socket.close(code, reason);
    } catch {
      // It was never opened, or is closed already.
    }
  }
}

function defaultConstructor(): WebSocketConstructor {
  const found = (globalThis as { WebSocket?: unknown }).WebSocket;
  if (typeof found !== "function") {
    throw new TypeError("this runtime has no WebSocket (Node has one since 22): hand one in as `webSocket`");
  }
  return found as WebSocketConstructor;
}
