import type { RuleTrace } from "agio-sdk";
import { traceText } from "./wording.ts";

/** How each rule of the policy fared, in order. */
export function Trace({ trace }: { readonly trace: readonly RuleTrace[] }) {
  if (trace.length === 0) return null;
  return (
    <ol className="trace" aria-label="Rules in order">
      {trace.map((one) => (
        <li key={one.position} className={one.decided ? `decided ${one.action}` : ""}>
          <strong>{one.rule}</strong> <span className={`tag ${one.action}`}>{one.action}</span>
          <span className="trace-why">{traceText(one)}</span>
        </li>
      ))}
    </ol>
  );
}
