/** Candles for several readers: the list and the chart share one subscription per symbol and interval. */

import type { Bar, Interval, Stream, Subscription } from "agio-sdk";

export interface BarListener {
  readonly onBar: (bar: Bar) => void;
  /** The channel is confirmed, at first and after each reconnection: time to read the history. */
  readonly onConfirmed: () => void;
}

interface Channel {
  readonly subscription: Subscription<Bar>;
  readonly listeners: Set<BarListener>;
}

export class BarChannels {
  private readonly channels = new Map<string, Channel>();

  constructor(private readonly stream: Stream) {}

  /** Listen until the returned function is called. */
  listen(symbol: string, interval: Interval, listener: BarListener): () => void {
    const name = `bars:${symbol}:${interval}`;
    const channel = this.channels.get(name) ?? this.open(name);
    channel.listeners.add(listener);
    if (channel.subscription.isConfirmed) listener.onConfirmed();
    return () => {
      channel.listeners.delete(listener);
      if (channel.listeners.size === 0 && this.channels.get(name) === channel) {
        this.channels.delete(name);
        channel.subscription.close();
      }
    };
  }

  private open(name: string): Channel {
    const listeners = new Set<BarListener>();
    const subscription = this.stream.subscribe<Bar>(name, {
      tier: "100ms",
      onMessage: ({ data }) => {
        for (const listener of listeners) listener.onBar(data);
      },
      onConfirmed: () => {
        for (const listener of [...listeners]) listener.onConfirmed();
      },
    });
    const channel = { subscription, listeners };
    this.channels.set(name, channel);
    return channel;
  }
}
