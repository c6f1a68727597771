import { ApiError } from "agio-sdk";
import { useEffect, useState } from "react";
import { SignIn } from "@/features/sign_in/SignIn.tsx";
import { explain } from "@/shared/live/loading.ts";
import { Workspace } from "./Workspace.tsx";
import { rememberedKey, signIn, signOut, type Session } from "./session.ts";

export function App() {
  const [session, setSession] = useState<Session | null>(null);
  const [isRestoring, setIsRestoring] = useState(rememberedKey() !== null);
  const [message, setMessage] = useState<string | null>(null);

  useEffect(() => {
    const apiKey = rememberedKey();
    if (apiKey === null) return;
    signIn(apiKey)
      .then(setSession, (error: unknown) => {
        if (error instanceof ApiError) signOut();
        setMessage(explain(error));
      })
      .finally(() => setIsRestoring(false));
  }, []);

  if (isRestoring) return <div className="splash">Signing in…</div>;
  if (session === null) {
    const enter = async (apiKey: string) => setSession(await signIn(apiKey));
    return <SignIn message={message} onSignIn={enter} />;
  }
  const leave = (reason: string | null) => {
    signOut();
    setMessage(reason);
    setSession(null);
  };
  return <Workspace key={session.me.key_id} session={session} onSignOut={leave} />;
}
