import type { Account, Agio } from "agio-sdk";
import { useEffect, useState, type ReactNode } from "react";
import { average, clock, filledOf, grouped, moment, quantity, shortened, words } from "@/shared/format.ts";
import { CopyId } from "@/shared/Id.tsx";
import { useAction } from "@/shared/use_action.ts";
import { useResource } from "@/shared/use_resource.ts";
import { followId, type Step } from "./trail.ts";
import { restSource } from "./trail_source.ts";

interface Props {
  readonly agio: Agio;
  readonly accounts: readonly Account[];
  /** An id that was chosen elsewhere on the page. */
  readonly wanted: { readonly id: string; readonly turn: number } | null;
  readonly onJournal: (journalId: string) => void;
  readonly onAccount: (address: string) => void;
}

interface Trail {
  readonly id: string;
  readonly steps: readonly Step[];
}

/** From an id to the way of money that it is part of; and the head of the chain beside it. */
export function Follow({ agio, accounts, wanted, onJournal, onAccount }: Props) {
  const [text, setText] = useState("");
  const [trail, setTrail] = useState<Trail | null>(null);
  const action = useAction();
  const head = useResource(() => agio.ledger.head(), [agio]);

  function follow(id: string) {
    void action.run(async () => {
      setTrail({ id, steps: await followId(restSource(agio, accounts), id) });
      head.reload();
    });
  }

  useEffect(() => {
    if (wanted === null) return;
    setText(wanted.id);
    follow(wanted.id);
    // A new turn is a new wish, also for the same id.
  }, [wanted?.turn]);

  return (
    <section className="panel book-follow" aria-label="Trail">
      <form
        className="follow-bar"
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim() !== "") follow(text.trim());
        }}
      >
        <label htmlFor="follow-id">Follow an id</label>
        <input
          id="follow-id"
          className="box mono"
          value={text}
          placeholder="trf_… jnl_… ord_… exe_… hld_… trq_… or a reference"
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setText(event.target.value)}
        />
        <button type="submit" className="quiet" disabled={text.trim() === "" || action.isBusy}>
          {action.isBusy ? "Following…" : "Follow"}
        </button>
        {trail !== null && (
          <button type="button" className="quiet" onClick={() => setTrail(null)}>
            Clear
          </button>
        )}
        {head.value !== null && (
          <span className="chain-head" title="The last link of the hash chain; note it elsewhere">
            <span className="muted">Chain head #{head.value.batch_no}</span>{" "}
            <CopyId id={head.value.hash} label="chain hash" shown={shortened(head.value.hash, 8, 6)} />
          </span>
        )}
      </form>
      {action.refusal !== null && (
        <p className="follow-none text-down" role="alert">
          {action.refusal}
        </p>
      )}
      {trail !== null && trail.steps.length === 0 && (
        <p className="follow-none" role="status">
          Nothing is found under <code>{trail.id}</code> that this key may see.
        </p>
      )}
      {trail !== null && trail.steps.length > 0 && (
        <ol className="trail" aria-label={`Trail of ${trail.id}`}>
          {trail.steps.map((step, index) => (
            <li key={`${index}-${step.id}`} className={step.id === trail.id ? "trail-step sought" : "trail-step"}>
              <Card step={step} onJournal={onJournal} onAccount={onAccount} />
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

interface CardProps {
  readonly step: Step;
  readonly onJournal: (journalId: string) => void;
  readonly onAccount: (address: string) => void;
}

/** One station: what it is, its figure, and what more there is to say. */
function Card({ step, onJournal, onAccount }: CardProps) {
  switch (step.kind) {
    case "transfer": {
      const { direction, amount, asset, status, created_at } = step.transfer;
      return <Station what={words(direction)} id={step.id} at={created_at} figure={`${grouped(amount)} ${asset}`} more={words(status)} />;
    }
    case "request": {
      const { amount, asset, status, kind, created_at } = step.request;
      return <Station what={`Request, ${kind}`} id={step.id} at={created_at} figure={`${grouped(amount)} ${asset}`} more={words(status)} />;
    }
    case "journal": {
      const { journal_no, legs, created_at } = step.journal;
      const open = () => onJournal(step.id);
      const more = [...new Set(legs.map((leg) => leg.asset))].join(", ");
      return <Station what="Journal" id={step.id} at={created_at} figure={`${legs.length} legs`} more={`no. ${journal_no}, ${more}`} onOpen={open} />;
    }
    case "balance":
      return (
        <Station
          what="Balance"
          id={step.id}
          figure={`${grouped(step.balance)} ${step.asset}`}
          more={`after entry ${step.version}`}
          onOpen={() => onAccount(step.id)}
        />
      );
    case "order": {
      const { side, quantity: ordered, symbol, status, filled_quantity, created_at } = step.order;
      return (
        <Station
          what={`Order, ${words(status).toLowerCase()}`}
          id={step.id}
          at={created_at}
          figure={<span className={`side-${side}`}>{`${words(side)} ${quantity(ordered)} ${symbol}`}</span>}
          more={`${filledOf(filled_quantity, ordered)} filled`}
        />
      );
    }
    case "hold": {
      const { amount, asset, state, captured, created_at, account } = step.hold;
      return (
        <Station
          what={`Hold, ${state}`}
          id={step.id}
          at={created_at}
          figure={`${grouped(amount)} ${asset}`}
          more={`${grouped(captured)} captured`}
          onOpen={() => onAccount(account)}
        />
      );
    }
    case "fill": {
      const { quantity: size, price, fee, fee_asset, transact_time } = step.fill;
      return (
        <Station
          what="Fill"
          id={step.id}
          at={transact_time}
          figure={`${quantity(size)} at ${average(price, price)}`}
          more={`fee ${grouped(fee)} ${fee_asset}`}
        />
      );
    }
  }
}

interface StationProps {
  readonly what: string;
  readonly id: string;
  readonly at?: string;
  readonly figure: ReactNode;
  readonly more: ReactNode;
  readonly onOpen?: () => void;
}

function Station({ what, id, at, figure, more, onOpen }: StationProps) {
  const content = (
    <>
      <span className="station-what">
        {what} {at !== undefined && <span title={`${moment(at)} UTC`}>{clock(at)}</span>}
      </span>
      <span className="station-figure">{figure}</span>
      <span className="station-more">{more}</span>
      <code title={id}>{shortened(id, 8, 5)}</code>
    </>
  );
  if (onOpen === undefined) return <div className="station">{content}</div>;
  return (
    <button type="button" className="station opens" aria-label={`Open ${what.toLowerCase()} ${id}`} onClick={onOpen}>
      {content}
    </button>
  );
}
