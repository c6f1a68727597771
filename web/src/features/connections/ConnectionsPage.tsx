import type { Agio, Me, StreamConnection } from "agio-sdk";
import { useEffect, useMemo, useRef, useState } from "react";
import { bytes, count, milliseconds, moment, NOTHING, span } from "@/shared/format.ts";
import { Refusal } from "@/shared/Form.tsx";
import { CopyId } from "@/shared/Id.tsx";
import { Content, Notice, Panel } from "@/shared/Panel.tsx";
import { Table } from "@/shared/Table.tsx";
import { useAction } from "@/shared/use_action.ts";
import { useResource } from "@/shared/use_resource.ts";
import { lagOf, readConnections, searchConnections, totalsOf } from "./presence.ts";

const EVERY_MS = 5_000;
const HEADS = ["Connection", "Key", "Address", "Since", "Channels", "Lag", "Queue", "Waits", "Dropped", ""] as const;

interface Props {
  readonly agio: Agio;
  readonly me: Me;
}

/** Who is connected to the streams, how far behind each is, and the way to disconnect one. */
export function ConnectionsPage({ agio, me }: Props) {
  if (me.scopes.includes("ops:read")) return <Connections agio={agio} me={me} />;
  return (
    <main className="connections">
      <Panel title="Connections" area="connections-list">
        <Notice>
          This key may not see connections: make one with the scope <code>ops:read</code> (POST /api/keys).
        </Notice>
      </Panel>
    </main>
  );
}

function Connections({ agio, me }: Props) {
  const [wanted, setWanted] = useState("");
  const [chosen, setChosen] = useState<StreamConnection | null>(null);
  const list = useResource(() => readConnections(agio), [agio]);
  const items = list.value ?? [];
  const found = useMemo(() => searchConnections(list.value ?? [], wanted), [list.value, wanted]);
  const mayEnd = me.scopes.includes("keys:write");
  const { reload } = list;

  useEffect(() => {
    const timer = setInterval(() => document.hidden || reload(), EVERY_MS);
    return () => clearInterval(timer);
  }, [reload]);

  return (
    <main className="connections">
      <Panel
        title="Connections"
        area="connections-list"
        tools={
          <>
            <Filter wanted={wanted} onWanted={setWanted} />
            <button type="button" className="quiet push-right" onClick={reload}>
              Refresh
            </button>
          </>
        }
      >
        <Totals items={items} />
        {items.length > 0 && list.loading.phase === "failed" && (
          <p className="panel-hint text-down" role="alert">
            {list.loading.message}
          </p>
        )}
        <Content
          loading={list.loading}
          isEmpty={found.length === 0}
          empty={items.length === 0 ? "Nobody of your organisation is connected." : `No connection has ${wanted.trim()}.`}
        >
          <Table label="Connections" heads={HEADS} texts={5}>
            {found.map((one) => (
              <Row key={one.connection_id} one={one} me={me} mayEnd={mayEnd} onEnd={() => setChosen(one)} />
            ))}
          </Table>
        </Content>
      </Panel>
      {chosen !== null && (
        <EndDialog
          agio={agio}
          me={me}
          one={chosen}
          onClose={(isEnded) => {
            setChosen(null);
            if (isEnded) reload();
          }}
        />
      )}
    </main>
  );
}

function Filter({ wanted, onWanted }: { readonly wanted: string; readonly onWanted: (wanted: string) => void }) {
  return (
    <input
      className="box connections-filter"
      type="search"
      aria-label="Filter connections"
      placeholder="Key, address, channel"
      autoComplete="off"
      spellCheck={false}
      value={wanted}
      onChange={(event) => onWanted(event.target.value)}
    />
  );
}

function Totals({ items }: { readonly items: readonly StreamConnection[] }) {
  const totals = totalsOf(items);
  return (
    <dl className="connection-totals">
      <Total label="Connections" text={count(totals.connections)} />
      <Total label="Channels" text={count(totals.channels)} />
      <Total label="Farthest behind" text={`${count(totals.lag)} messages`} />
      <Total label="Queued" text={bytes(totals.queuedBytes)} />
      <Total label="Dropped" text={count(totals.dropped)} />
    </dl>
  );
}

function Total({ label, text }: { readonly label: string; readonly text: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{text}</dd>
    </div>
  );
}

interface RowProps {
  readonly one: StreamConnection;
  readonly me: Me;
  readonly mayEnd: boolean;
  readonly onEnd: () => void;
}

function Row({ one, me, mayEnd, onEnd }: RowProps) {
  const lag = lagOf(one);
  return (
    <tr>
      <td data-head="Connection" className="text">
        <CopyId id={one.connection_id} label="connection" />
        <span className="cell-note">
          {one.door} · {one.encoding}
        </span>
      </td>
      <td data-head="Key" className="text">
        <code>{one.key_id}</code> {one.key_id === me.key_id && <span className="tag">yours</span>}
      </td>
      <td data-head="Address" className="text">{one.address || NOTHING}</td>
      <td data-head="Since" className="text" title={`Expires ${moment(one.expires_at)} UTC`}>
        {moment(one.connected_at)}
        <span className="cell-note">{span((Date.now() - Date.parse(one.connected_at)) / 1000)}</span>
      </td>
      <td data-head="Channels" className="text">
        <Channels one={one} />
      </td>
      <td data-head="Lag" className={lag > 0 ? "counted" : "muted"}>{count(lag)}</td>
      <td data-head="Queue" className={one.queued_bytes > 0 ? "" : "muted"}>{bytes(one.queued_bytes)}</td>
      <td data-head="Waits" className={one.oldest_seconds >= 1 ? "counted" : "muted"}>{milliseconds(one.oldest_seconds * 1000)}</td>
      <td data-head="Dropped" className={one.dropped > 0 ? "counted" : "muted"}>{count(one.dropped)}</td>
      <td>
        {mayEnd && (
          <button type="button" className="row-action" aria-label={`Disconnect ${one.connection_id}`} onClick={onEnd}>
            Disconnect
          </button>
        )}
      </td>
    </tr>
  );
}

function Channels({ one }: { readonly one: StreamConnection }) {
  if (one.channels.length === 0) return <span className="muted">None</span>;
  return (
    <details className="channels">
      <summary>
        {count(one.channels.length)} {one.channels.length === 1 ? "channel" : "channels"}
      </summary>
      <ul>
        {one.channels.map(({ channel, position, lag }) => (
          <li key={channel}>
            <code>{channel}</code> {position !== null && <span className="muted">at {count(position)}</span>}{" "}
            {lag !== null && lag > 0 && <span className="counted">{count(lag)} behind</span>}
          </li>
        ))}
      </ul>
    </details>
  );
}

interface DialogProps {
  readonly agio: Agio;
  readonly me: Me;
  readonly one: StreamConnection;
  readonly onClose: (isEnded: boolean) => void;
}

function EndDialog({ agio, me, one, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const action = useAction();

  useEffect(() => dialog.current?.showModal(), []);

  const end = () =>
    void action.run(async () => {
      await agio.connections.disconnect(one.connection_id);
      onClose(true);
    });

  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="end-title" onClose={() => onClose(false)}>
      <h2 id="end-title">Disconnect this connection?</h2>
      <p>
        <code>{one.connection_id}</code> of key <code>{one.key_id}</code>
        {one.address !== "" && ` at ${one.address}`}, {count(one.channels.length)}{" "}
        {one.channels.length === 1 ? "channel" : "channels"}.
      </p>
      <p className="muted">
        It is closed with 4011. {one.key_id === me.key_id && "It is of your own key, perhaps this very page. "}
        Its client may come back and goes on where it was; to keep it out, revoke its key.
      </p>
      <div className="buttons">
        <button type="button" className="primary danger" disabled={action.isBusy} onClick={end}>
          Disconnect
        </button>
        <button type="button" className="quiet" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
      </div>
      <Refusal action={action} />
    </dialog>
  );
}
