import { grouped } from "@/shared/format.ts";
import { CopyId } from "@/shared/Id.tsx";
import { Content, Panel } from "@/shared/Panel.tsx";
import type { House } from "./use_house.ts";

/** Vaults with their sub-accounts and balances. */
export function Vaults({ house }: { readonly house: House }) {
  const kept = house.vaults.value ?? [];
  return (
    <Panel title="Vaults" area="house-vaults">
      <Content
        loading={house.vaults.loading}
        isEmpty={kept.length === 0}
        empty={
          <span>
            No vault yet.
            <code className="call">POST /api/vaults {`{"name": "Treasury"}`}</code>
          </span>
        }
      >
        <div className="vaults">
          {kept.map(({ vault, subAccounts }) => (
            <section key={vault.vault_id} className="vault" aria-label={`Vault ${vault.name}`}>
              <h3>{vault.name}</h3>
              <CopyId id={vault.vault_id} label="vault id" />
              {subAccounts.length === 0 && (
                <code className="call">
                  POST /api/vaults/{vault.vault_id}/sub-accounts {`{"asset": "USD", "location": "cold"}`}
                </code>
              )}
              {subAccounts.map((sub) => (
                <dl key={sub.sub_account_id} className="sub-account" title={sub.sub_account_id}>
                  <div>
                    <dt>
                      {sub.asset} <span className="muted">{sub.location}</span>
                    </dt>
                    <dd>{grouped(sub.total)}</dd>
                  </div>
                  <div className="muted">
                    <dt>held</dt>
                    <dd>{grouped(sub.held)}</dd>
                  </div>
                  <div className="muted">
                    <dt>available</dt>
                    <dd>{grouped(sub.available)}</dd>
                  </div>
                </dl>
              ))}
            </section>
          ))}
        </div>
      </Content>
    </Panel>
  );
}
