import { useCallback, useEffect, useRef, useState, type DependencyList } from "react";
import { failedWith, LOADING, READY, type Loading } from "./live/loading.ts";

export interface Resource<T> {
  readonly value: T | null;
  readonly loading: Loading;
  /** Read again; what is shown stays until the answer is there. */
  readonly reload: () => void;
}

/** What a request answers, asked again when `dependencies` change; the last request wins. */
export function useResource<T>(read: () => Promise<T> | null, dependencies: DependencyList): Resource<T> {
  const [state, setState] = useState<{ value: T | null; loading: Loading }>({ value: null, loading: LOADING });
  const asked = useRef(0);
  const latest = useRef(read);
  latest.current = read;

  const ask = useCallback((isNew: boolean) => {
    asked.current += 1;
    const turn = asked.current;
    if (isNew) setState({ value: null, loading: LOADING });
    const promise = latest.current();
    if (promise === null) return;
    promise.then(
      (value) => turn === asked.current && setState({ value, loading: READY }),
      (error: unknown) =>
        turn === asked.current && setState((known) => ({ value: known.value, loading: failedWith(error) })),
    );
  }, []);

  useEffect(() => {
    ask(true);
    return () => {
      asked.current += 1;
    };
  }, dependencies);

  const reload = useCallback(() => ask(false), [ask]);
  return { ...state, reload };
}
