import type { Account, Agio, Me, Stream } from "agio-sdk";
import { Notice, Panel } from "@/shared/Panel.tsx";
import { Tabs } from "@/shared/Tabs.tsx";
import { Destinations, NewDestination } from "./Destinations.tsx";
import { DryRun } from "./DryRun.tsx";
import { Freezes, NewFreeze } from "./Freezes.tsx";
import { NewRequest } from "./NewRequest.tsx";
import { PolicyBook } from "./PolicyBook.tsx";
import { RequestDetail } from "./RequestDetail.tsx";
import { Requests } from "./Requests.tsx";
import { useHouse } from "./use_house.ts";
import { Vaults } from "./Vaults.tsx";

interface Props {
  readonly agio: Agio;
  readonly me: Me;
  readonly stream: Stream;
  readonly accounts: readonly Account[];
  /** The section and what is chosen in it. */
  readonly parts: readonly string[];
  readonly onGo: (parts: readonly string[]) => void;
}

const SECTIONS = ["requests", "policy", "destinations", "freezes"] as const;
type Section = (typeof SECTIONS)[number];

/** Vaults, and everything that guards them. */
export function CustodyPage(props: Props) {
  if (props.me.scopes.includes("custody:read")) return <Rooms {...props} />;
  return (
    <main className="house">
      <Panel title="Custody" area="house-none">
        <Notice>
          This key may not see custody: make one with the scope <code>custody:read</code> (POST /api/keys).
        </Notice>
      </Panel>
    </main>
  );
}

function Rooms({ agio, me, stream, accounts, parts, onGo }: Props) {
  const house = useHouse(agio, me, stream);
  const section: Section = SECTIONS.find((one) => one === parts[0]) ?? "requests";
  const chosen = parts[1] ?? null;
  const waiting = house.requests.value?.items.filter(({ request }) => request.status === "approving").length ?? 0;
  const frozen = house.freezes.value?.filter((one) => one.lifted_at === null) ?? [];
  const shared = { agio, me, house, accounts };
  const tabs = [
    { name: "requests", label: <>Requests {waiting > 0 && <span className="count">{waiting}</span>}</> },
    { name: "policy", label: "Policy" },
    { name: "destinations", label: "Destinations" },
    { name: "freezes", label: <>Freezes {frozen.length > 0 && <span className="count warn">{frozen.length}</span>}</> },
  ] as const;
  return (
    <main className="house">
      {frozen.some((one) => one.target_kind === "house") && (
        <p className="house-banner" role="status">
          The whole house is frozen: nothing leaves until another key lifts the freeze.
        </p>
      )}
      <Vaults house={house} />
      <section className="panel house-main" aria-label="Controls">
        <header className="panel-head">
          <Tabs label="Controls" tabs={tabs} selected={section} onSelect={(name) => onGo([name])} />
          {section === "requests" && chosen !== "new" && me.scopes.includes("custody:write") && (
            <button type="button" className="quiet accent push-right" onClick={() => onGo(["requests", "new"])}>
              New request
            </button>
          )}
        </header>
        {section === "requests" && <Requests house={house} me={me} selected={chosen} onSelect={(id) => onGo(["requests", id])} />}
        {section === "policy" && <PolicyBook {...shared} />}
        {section === "destinations" && <Destinations {...shared} />}
        {section === "freezes" && <Freezes {...shared} />}
      </section>
      {section === "requests" && chosen === "new" && (
        <NewRequest {...shared} onDone={(id) => onGo(["requests", id])} onClose={() => onGo(["requests"])} />
      )}
      {section === "requests" && chosen !== "new" && (
        <RequestDetail key={chosen ?? ""} {...shared} requestId={chosen} onClose={() => onGo(["requests"])} />
      )}
      {section === "policy" && <DryRun {...shared} />}
      {section === "destinations" && <NewDestination {...shared} />}
      {section === "freezes" && <NewFreeze {...shared} />}
    </main>
  );
}
