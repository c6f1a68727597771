import type { Balance, Metric, Position } from "agio-sdk";
import { useState } from "react";
import { average, grouped, NOTHING, percent, quantity, ratio, signed, tone, words } from "@/shared/format.ts";
import type { AccountFeed } from "@/shared/live/account_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import type { PortfolioFeed } from "@/shared/live/portfolio_feed.ts";
import { Content, Notice } from "@/shared/Panel.tsx";
import { Tabs } from "@/shared/Tabs.tsx";

const TABS = [
  { name: "positions", label: "Positions" },
  { name: "analytics", label: "Analytics" },
  { name: "balances", label: "Balances" },
] as const;

interface Props {
  readonly feed: PortfolioFeed | null;
  readonly account: AccountFeed;
  readonly currency: string;
}

export function Portfolio({ feed, account, currency }: Props) {
  const [tab, setTab] = useState<(typeof TABS)[number]["name"]>("positions");
  return (
    <section className="panel area-portfolio" aria-label="Portfolio">
      <header className="panel-head">
        <Tabs label="Portfolio" tabs={TABS} selected={tab} onSelect={setTab} />
        <span className="panel-note push-right">{currency}</span>
      </header>
      {feed !== null && <Totals feed={feed} />}
      {tab === "balances" && <Balances account={account} />}
      {tab !== "balances" && feed === null && <Notice>No portfolio holds this account.</Notice>}
      {tab === "positions" && feed !== null && <Positions feed={feed} />}
      {tab === "analytics" && feed !== null && <Metrics feed={feed} />}
    </section>
  );
}

function Totals({ feed }: { readonly feed: PortfolioFeed }) {
  const { totals } = useLive(feed.store);
  return (
    <dl className="totals">
      <Total label="Equity" text={grouped(totals?.equity)} tip="Cash and positions at their last prices." />
      <Total label="Cash" text={grouped(totals?.cash)} tip="Balance in the base currency, money held for open orders included." />
      <Total
        label="Unrealized"
        text={signed(totals?.unrealized_pnl)}
        tone={tone(totals?.unrealized_pnl)}
        tip="Market value less average cost of what is held; fees left out."
      />
      <Total
        label="Realized"
        text={signed(totals?.realized_pnl)}
        tone={tone(totals?.realized_pnl)}
        tip="Of what was sold, against average cost, fees deducted."
      />
      <Total
        label="Today"
        text={percent(totals?.day_return, 3)}
        tone={tone(totals?.day_return)}
        tip="Time-weighted return since 00:00 UTC."
      />
    </dl>
  );
}

interface TotalProps {
  readonly label: string;
  readonly text: string;
  readonly tip: string;
  readonly tone?: string;
}

function Total({ label, text, tip, tone: colour }: TotalProps) {
  return (
    <div className="tip" tabIndex={0} data-tip={tip}>
      <dt>{label}</dt>
      <dd className={colour === undefined ? "" : `text-${colour}`}>{text}</dd>
    </div>
  );
}

function Positions({ feed }: { readonly feed: PortfolioFeed }) {
  const { loading, positions } = useLive(feed.store);
  const held = positions.filter((one) => tone(one.quantity) !== "flat" || tone(one.realized_pnl) !== "flat");
  return (
    <Content loading={loading} isEmpty={held.length === 0} empty="No positions: the portfolio is all cash.">
      <div className="table-box">
        <table>
          <thead>
            <tr>
              <th scope="col" className="text">Symbol</th>
              <th scope="col">Quantity</th>
              <th scope="col">Avg cost</th>
              <th scope="col">Price</th>
              <th scope="col">Value</th>
              <th scope="col">Unrealized</th>
              <th scope="col">Realized</th>
            </tr>
          </thead>
          <tbody>
            {held.map((position) => (
              <PositionRow key={position.symbol} position={position} />
            ))}
          </tbody>
        </table>
      </div>
    </Content>
  );
}

function PositionRow({ position }: { readonly position: Position }) {
  return (
    <tr>
      <td className="text strong">{position.symbol}</td>
      <td>{quantity(position.quantity)}</td>
      <td title={position.average_cost ?? undefined}>{average(position.average_cost, position.price)}</td>
      <td>{grouped(position.price)}</td>
      <td>{grouped(position.market_value)}</td>
      <td className={`text-${tone(position.unrealized_pnl)}`}>{signed(position.unrealized_pnl)}</td>
      <td className={`text-${tone(position.realized_pnl)}`}>{signed(position.realized_pnl)}</td>
    </tr>
  );
}

function Balances({ account }: { readonly account: AccountFeed }) {
  const { loading, byAsset } = useLive(account.balances);
  const balances = [...byAsset.values()].sort((left, right) => left.asset.localeCompare(right.asset));
  return (
    <Content loading={loading} isEmpty={balances.length === 0} empty="This account has no balances.">
      <div className="table-box">
        <table>
          <thead>
            <tr>
              <th scope="col" className="text">Asset</th>
              <th scope="col">Total</th>
              <th scope="col">Held for orders</th>
              <th scope="col">Available</th>
            </tr>
          </thead>
          <tbody>
            {balances.map((balance: Balance) => (
              <tr key={balance.asset}>
                <td className="text strong">{balance.asset}</td>
                <td>{grouped(balance.total)}</td>
                <td>{grouped(balance.held)}</td>
                <td>{grouped(balance.available)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Content>
  );
}

const SHOWN = [
  ["returns", "twr", "Return (TWR)"],
  ["risk", "volatility", "Volatility"],
  ["risk", "sharpe", "Sharpe"],
  ["risk", "max_drawdown", "Max drawdown"],
  ["exposure", "gross", "Gross exposure"],
  ["exposure", "net", "Net exposure"],
  ["exposure", "cash_share", "Cash share"],
  ["exposure", "hhi", "Concentration (HHI)"],
] as const;

function Metrics({ feed }: { readonly feed: PortfolioFeed }) {
  const { analytics, failure } = useLive(feed.metrics);
  if (analytics === null) {
    return failure === null ? <Notice>Computing…</Notice> : <Notice tone="bad">{failure}</Notice>;
  }
  return (
    <dl className="metrics">
      {SHOWN.map(([block, name, label]) => (
        <MetricTile key={name} label={label} metric={analytics[block][name]} />
      ))}
    </dl>
  );
}

function MetricTile({ label, metric }: { readonly label: string; readonly metric: Metric | undefined }) {
  const tip = metric === undefined ? "Not part of the answer." : `${capital(metric.convention)}. ${metric.n} observations.`;
  const reason = metric?.null_reason ?? null;
  return (
    <div className="tip" tabIndex={0} data-tip={tip}>
      <dt>{label}</dt>
      <dd>{metric === undefined || metric.value === null ? NOTHING : metricText(metric, metric.value)}</dd>
      <dd className="reason">{reason === null ? "" : words(reason)}</dd>
    </div>
  );
}

function metricText(metric: Metric, value: number): string {
  return metric.unit.startsWith("ratio") ? percent(value) : ratio(value);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
