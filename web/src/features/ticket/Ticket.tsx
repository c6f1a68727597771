import { decimal, type Agio, type Instrument, type NewOrder, type Order, type OrderType, type Quote, type Side, type TimeInForce } from "agio-sdk";
import { useEffect, useLayoutEffect, useRef, useState, type FormEvent } from "react";
import { decimalsOf, grouped, quantity as quantityText } from "@/shared/format.ts";
import type { AccountFeed, BalancesView } from "@/shared/live/account_feed.ts";
import { useLive, type FrameStore } from "@/shared/live/frame_store.ts";
import { explain } from "@/shared/live/loading.ts";
import type { QuoteFeed } from "@/shared/live/quote_feed.ts";
import type { Ticker } from "@/shared/live/ticker_feed.ts";
import { Panel } from "@/shared/Panel.tsx";
import type { PriceDraft } from "@/shared/price_draft.ts";
import { Choice } from "@/shared/Tabs.tsx";
import { estimate, findFaults, type Estimate } from "./estimate.ts";
import { Stepper } from "./Stepper.tsx";

const SIDES = [
  { name: "buy", label: "Buy" },
  { name: "sell", label: "Sell" },
] as const;
const TYPES = [
  { name: "limit", label: "Limit" },
  { name: "market", label: "Market" },
] as const;
const TIMES_IN_FORCE: Record<OrderType, readonly { readonly name: TimeInForce; readonly label: string }[]> = {
  limit: [
    { name: "day", label: "Day" },
    { name: "gtc", label: "GTC" },
    { name: "ioc", label: "IOC" },
  ],
  market: [
    { name: "ioc", label: "IOC" },
    { name: "day", label: "Day" },
  ],
};
const QUOTE_SCALE = 2;

interface Props {
  readonly agio: Agio;
  readonly instrument: Instrument;
  readonly account: AccountFeed;
  readonly ticker: FrameStore<Ticker>;
  readonly quotes: QuoteFeed;
  readonly draft: PriceDraft | null;
  readonly canTrade: boolean;
}

type Outcome = { readonly kind: "placed"; readonly order: Order } | { readonly kind: "refused"; readonly text: string };

export function Ticket({ agio, instrument, account, ticker, quotes, draft, canTrade }: Props) {
  const [side, setSide] = useState<Side>("buy");
  const [type, setType] = useState<OrderType>("limit");
  const [timeInForce, setTimeInForce] = useState<TimeInForce>("day");
  const [quantity, setQuantity] = useState(() => quantityText(instrument.lot_size).replaceAll(",", ""));
  const [price, setPrice] = useState("");
  const isPriceTheirs = useRef(false);
  const [isBusy, setIsBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const last = useLive(ticker).last;
  const quote = useLive(quotes.store);

  useEffect(() => {
    if (draft === null) return;
    setType("limit");
    setPrice(draft.price);
  }, [draft]);

  useLayoutEffect(() => {
    // A proposal, until the user enters the field: a price that came under the cursor would be typed into.
    if (!isPriceTheirs.current && price === "" && type === "limit" && last !== null) setPrice(last);
  }, [last, price, type]);

  const faults = findFaults({ type, quantity, price, lotSize: instrument.lot_size, tickSize: instrument.tick_size });
  const isSound = faults.quantity === null && faults.price === null;

  function chooseType(chosen: OrderType) {
    setType(chosen);
    setTimeInForce(chosen === "market" ? "ioc" : "day");
  }

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (!isSound || isBusy) return;
    setIsBusy(true);
    setOutcome(null);
    const order: NewOrder = {
      account_id: account.accountId,
      symbol: instrument.symbol,
      side,
      type,
      quantity,
      time_in_force: timeInForce,
      ...(type === "limit" ? { limit_price: price } : {}),
    };
    try {
      const placed = await agio.placeOrder(order);
      account.takeOrder(placed);
      setOutcome({ kind: "placed", order: placed });
    } catch (error) {
      setOutcome({ kind: "refused", text: explain(error) });
    } finally {
      setIsBusy(false);
    }
  }

  return (
    <Panel title="Order" area="area-ticket" tools={<span className="panel-note">{instrument.symbol}</span>}>
      <form className="ticket" onSubmit={(event) => void submit(event)} noValidate>
        <Choice label="Side" tabs={SIDES} selected={side} onSelect={setSide} className="wide sides" />
        <Choice label="Order type" tabs={TYPES} selected={type} onSelect={chooseType} className="wide" />
        <Stepper
          label="Quantity"
          unit={instrument.base_asset}
          value={quantity}
          step={instrument.lot_size}
          scale={decimalsOf(instrument.lot_size)}
          fault={faults.quantity}
          onChange={setQuantity}
        />
        <Stepper
          label="Price"
          unit={instrument.quote_asset}
          value={type === "limit" ? price : ""}
          step={instrument.tick_size}
          scale={instrument.price_scale}
          fault={price === "" ? null : faults.price}
          isDisabled={type === "market"}
          placeholder={type === "market" ? "Market" : ""}
          onChange={setPrice}
          onEnter={() => {
            isPriceTheirs.current = true;
          }}
        />
        <div className="stepper-row">
          <span className="label">In force</span>
          <Choice label="Time in force" tabs={TIMES_IN_FORCE[type]} selected={timeInForce} onSelect={setTimeInForce} className="wide" />
        </div>
        <Summary
          account={account}
          instrument={instrument}
          side={side}
          quantity={faults.quantity === null ? quantity : null}
          price={type === "limit" ? (faults.price === null ? price : null) : marketPrice(side, quote, last)}
        />
        <button type="submit" className={`submit ${side}`} disabled={!isSound || isBusy || !canTrade}>
          {isBusy ? "Sending…" : `${side === "buy" ? "Buy" : "Sell"} ${quantityText(quantity)} ${instrument.base_asset}`}
        </button>
        <Result outcome={outcome} fault={faults.quantity ?? (price === "" ? null : faults.price)} canTrade={canTrade} />
      </form>
    </Panel>
  );
}

interface SummaryProps {
  readonly account: AccountFeed;
  readonly instrument: Instrument;
  readonly side: Side;
  readonly quantity: string | null;
  readonly price: string | null;
}

function Summary({ account, instrument, side, quantity, price }: SummaryProps) {
  const balances: BalancesView = useLive(account.balances);
  const asset = side === "buy" ? instrument.quote_asset : instrument.base_asset;
  const available = availableOf(balances, asset);
  let costs: Estimate | null = null;
  if (quantity !== null && price !== null) {
    costs = estimate({
      side,
      quantity: decimal.of(quantity),
      price: decimal.of(price),
      quoteScale: QUOTE_SCALE,
      available: available === null ? null : decimal.of(available),
    });
  }
  const isShort = costs?.isBeyondAvailable === true;
  return (
    <dl className="summary">
      <Line label="Notional" text={grouped(costs?.notional)} unit={instrument.quote_asset} />
      <Line label="Fee (5 bps)" text={grouped(costs?.fee)} unit={instrument.quote_asset} />
      <Line label={side === "buy" ? "Cost" : "Proceeds"} text={grouped(costs?.total)} unit={instrument.quote_asset} isStrong />
      <Line label="Available" text={grouped(available)} unit={asset} isBad={isShort} />
    </dl>
  );
}

interface LineProps {
  readonly label: string;
  readonly text: string;
  readonly unit: string;
  readonly isStrong?: boolean;
  readonly isBad?: boolean;
}

function Line({ label, text, unit, isStrong, isBad }: LineProps) {
  return (
    <div className={`${isStrong === true ? "strong" : ""} ${isBad === true ? "bad" : ""}`}>
      <dt>{label}</dt>
      <dd>
        {text} <span className="unit">{unit}</span>
      </dd>
    </div>
  );
}

interface ResultProps {
  readonly outcome: Outcome | null;
  readonly fault: string | null;
  readonly canTrade: boolean;
}

function Result({ outcome, fault, canTrade }: ResultProps) {
  if (!canTrade) return <p className="result">This key may not place orders (scope orders:write).</p>;
  if (fault !== null) return <p className="result refused">{fault}.</p>;
  return (
    <p className={`result ${outcome?.kind ?? ""}`} role="status">
      {outcome?.kind === "refused" && outcome.text}
      {outcome?.kind === "placed" && `Accepted: ${describe(outcome.order)}.`}
    </p>
  );
}

function describe(order: Order): string {
  const terms = order.limit_price === null ? "at market" : `at ${grouped(order.limit_price)}`;
  return `${order.side} ${quantityText(order.quantity)} ${order.symbol} ${terms}`;
}

function marketPrice(side: Side, quote: Quote | null, last: string | null): string | null {
  const best = side === "buy" ? quote?.ask : quote?.bid;
  return best ?? last;
}

function availableOf(balances: BalancesView, asset: string): string | null {
  const balance = balances.byAsset.get(asset);
  if (balance !== undefined) return balance.available;
  return balances.loading.phase === "ready" ? "0" : null;
}
