import { ApiError } from "agio-sdk";
import { useState, type FormEvent } from "react";
import { Mark } from "@/shared/Mark.tsx";
import { explain } from "@/shared/live/loading.ts";

const KEY = /^agio_(sandbox|live)_\S+$/;

interface Props {
  /** Why the last session ended. */
  readonly message: string | null;
  readonly onSignIn: (apiKey: string) => Promise<void>;
}

export function SignIn({ message, onSignIn }: Props) {
  const [text, setText] = useState("");
  const [isShown, setIsShown] = useState(false);
  const [isBusy, setIsBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(message);

  async function submit(event: FormEvent) {
    event.preventDefault();
    const apiKey = text.trim();
    if (!KEY.test(apiKey)) {
      setFailure("A key begins with agio_sandbox_ or agio_live_.");
      return;
    }
    setIsBusy(true);
    setFailure(null);
    try {
      await onSignIn(apiKey);
    } catch (error) {
      setFailure(
        error instanceof ApiError && error.status === 401
          ? "The server does not know this key, or it has expired or been revoked."
          : explain(error),
      );
      setIsBusy(false);
    }
  }

  return (
    <main className="sign-in">
      <form className="sign-in-card" onSubmit={(event) => void submit(event)}>
        <h1>
          <Mark /> agio
        </h1>
        <label htmlFor="api-key">API key</label>
        <div className="sign-in-field">
          <input
            id="api-key"
            className="field"
            type={isShown ? "text" : "password"}
            value={text}
            onChange={(event) => setText(event.target.value)}
            placeholder="agio_sandbox_…"
            autoComplete="off"
            spellCheck={false}
            autoFocus
            aria-invalid={failure !== null}
            aria-describedby="sign-in-message"
          />
          <button type="button" className="quiet" onClick={() => setIsShown(!isShown)} aria-pressed={isShown}>
            {isShown ? "Hide" : "Show"}
          </button>
        </div>
        <p id="sign-in-message" className="sign-in-message" role="alert">
          {failure}
        </p>
        <button type="submit" className="primary" disabled={isBusy || text.trim() === ""}>
          {isBusy ? "Signing in…" : "Sign in"}
        </button>
        <p className="hint">
          <code>agio up</code> prints a key for the sandbox, and <code>agio keys create</code> makes others. The key
          stays in this browser tab and is forgotten when the tab closes.
        </p>
      </form>
    </main>
  );
}
