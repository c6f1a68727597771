import type { Account, Agio } from "agio-sdk";
import { Refusal } from "@/shared/Form.tsx";
import { Notice, Panel } from "@/shared/Panel.tsx";
import { useAction } from "@/shared/use_action.ts";
import { useTerms } from "./RequestFields.tsx";
import type { House } from "./use_house.ts";

interface Props {
  readonly agio: Agio;
  readonly house: House;
  readonly accounts: readonly Account[];
  readonly onDone: (requestId: string) => void;
  readonly onClose: () => void;
}

export function NewRequest({ agio, house, accounts, onDone, onClose }: Props) {
  const { wanted, fields, isComplete, hasSources } = useTerms(house, accounts);
  const action = useAction();
  const tools = (
    <button type="button" className="quiet push-right" onClick={onClose}>
      Close
    </button>
  );
  return (
    <Panel title="New request" area="house-side" tools={tools}>
      {!hasSources ? (
        <Notice>
          There is no sub-account to pay from: <code>POST /api/vaults/{"{vault_id}"}/sub-accounts</code> opens one.
        </Notice>
      ) : (
        <form
          className="sheet"
          onSubmit={(event) => {
            event.preventDefault();
            void action.run(async () => {
              const asked = await agio.custody.ask(wanted);
              house.reload();
              onDone(asked.request_id);
            });
          }}
        >
          {fields}
          <button type="submit" className="primary" disabled={!isComplete || action.isBusy}>
            Ask for this transfer
          </button>
          <Refusal action={action} />
        </form>
      )}
    </Panel>
  );
}
