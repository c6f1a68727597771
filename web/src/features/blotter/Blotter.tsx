import type { Agio, Execution, Order } from "agio-sdk";
import { useState } from "react";
import { average, filledOf, grouped, moment, NOTHING, quantity, words } from "@/shared/format.ts";
import type { AccountFeed } from "@/shared/live/account_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import { explain } from "@/shared/live/loading.ts";
import { Content } from "@/shared/Panel.tsx";
import { Table } from "@/shared/Table.tsx";
import { Tabs } from "@/shared/Tabs.tsx";

type TabName = "open" | "history" | "fills";

interface Props {
  readonly agio: Agio;
  readonly account: AccountFeed;
  readonly canTrade: boolean;
}

export function Blotter({ agio, account, canTrade }: Props) {
  const [tab, setTab] = useState<TabName>("open");
  const [refusal, setRefusal] = useState<string | null>(null);
  const { open } = useLive(account.orders);

  async function cancel(orders: readonly Order[]) {
    setRefusal(null);
    for (const order of orders) {
      try {
        account.takeOrder(await agio.cancelOrder(order.order_id));
      } catch (error) {
        setRefusal(explain(error));
      }
    }
  }

  const tabs = [
    { name: "open", label: <>Open orders <Count of={open.length} /></> },
    { name: "history", label: "Order history" },
    { name: "fills", label: "Fills" },
  ] as const;
  return (
    <section className="panel area-blotter" aria-label="Orders and fills">
      <header className="panel-head">
        <Tabs label="Orders and fills" tabs={tabs} selected={tab} onSelect={setTab} />
        {refusal !== null && <span className="panel-refusal" role="alert">{refusal}</span>}
        {tab === "open" && canTrade && open.length > 1 && (
          <button type="button" className="quiet push-right" onClick={() => void cancel(open)}>
            Cancel all
          </button>
        )}
      </header>
      {tab === "open" && <OpenOrders account={account} onCancel={canTrade ? (order) => void cancel([order]) : null} />}
      {tab === "history" && <History account={account} />}
      {tab === "fills" && <Fills account={account} />}
    </section>
  );
}

function Count({ of }: { readonly of: number }) {
  return of === 0 ? null : <span className="count">{of}</span>;
}

interface OpenOrdersProps {
  readonly account: AccountFeed;
  readonly onCancel: ((order: Order) => void) | null;
}

function OpenOrders({ account, onCancel }: OpenOrdersProps) {
  const { loading, open } = useLive(account.orders);
  return (
    <Content loading={loading} isEmpty={open.length === 0} empty="No open orders.">
      <Table heads={["Time UTC", "Symbol", "Side", "Type", "Status", "Quantity", "Limit", "Filled", ""]} texts={5}>
        {open.map((order) => (
          <tr key={order.order_id}>
            <OrderStart order={order} />
            <td>{quantity(order.quantity)}</td>
            <td>{limitOf(order)}</td>
            <td>{quantity(order.filled_quantity)}</td>
            <td>
              {onCancel !== null && order.status !== "pending_cancel" && (
                <button type="button" className="row-action" aria-label={`Cancel order ${order.order_id}`} onClick={() => onCancel(order)}>
                  Cancel
                </button>
              )}
            </td>
          </tr>
        ))}
      </Table>
    </Content>
  );
}

function History({ account }: { readonly account: AccountFeed }) {
  const { loading, closed } = useLive(account.orders);
  return (
    <Content loading={loading} isEmpty={closed.length === 0} empty="No finished orders yet.">
      <Table heads={["Time UTC", "Symbol", "Side", "Type", "Status", "Filled", "Limit", "Average", "Fees"]} texts={5}>
        {closed.map((order) => (
          <tr key={order.order_id}>
            <OrderStart order={order} />
            <td>{filledOf(order.filled_quantity, order.quantity)}</td>
            <td>{limitOf(order)}</td>
            <td title={order.average_price ?? undefined}>{average(order.average_price, order.limit_price)}</td>
            <td>{grouped(order.fees)}</td>
          </tr>
        ))}
      </Table>
    </Content>
  );
}

function OrderStart({ order }: { readonly order: Order }) {
  return (
    <>
      <td className="text muted">{moment(order.created_at)}</td>
      <td className="text strong">{order.symbol}</td>
      <td className={`text side-${order.side}`}>{words(order.side)}</td>
      <td className="text">
        {words(order.type)} <span className="muted">{order.time_in_force.toUpperCase()}</span>
      </td>
      <td className={`text status-${order.status}`} title={order.reject_reason === null ? undefined : words(order.reject_reason)}>
        {words(order.status)}
      </td>
    </>
  );
}

function limitOf(order: Order): string {
  return order.limit_price === null ? NOTHING : grouped(order.limit_price);
}

function Fills({ account }: { readonly account: AccountFeed }) {
  const { loading, fills } = useLive(account.fills);
  return (
    <Content loading={loading} isEmpty={fills.length === 0} empty="No fills yet.">
      <Table heads={["Time UTC", "Symbol", "Side", "Liquidity", "Quantity", "Price", "Fee", "Market trade"]} texts={4}>
        {fills.map((fill: Execution) => (
          <tr key={fill.execution_id}>
            <td className="text muted">{moment(fill.transact_time)}</td>
            <td className="text strong">{fill.symbol}</td>
            <td className={`text side-${fill.side}`}>{words(fill.side)}</td>
            <td className="text">{words(fill.liquidity)}</td>
            <td>{quantity(fill.quantity)}</td>
            <td>{grouped(fill.price)}</td>
            <td>
              {grouped(fill.fee)} <span className="muted">{fill.fee_asset}</span>
            </td>
            <td className="muted">{fill.trade_seq === null ? NOTHING : `#${fill.trade_seq}`}</td>
          </tr>
        ))}
      </Table>
    </Content>
  );
}
