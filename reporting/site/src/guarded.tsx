// An error while something is drawn blanks that part alone, and says what to report.
import { Component, type ComponentChildren, type JSX } from "preact";

interface Props {
  what: string;
  children: ComponentChildren;
}

export class Guarded extends Component<Props, { error?: unknown }> {
  static override getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override render({ what, children }: Props): JSX.Element {
    const { error } = this.state;
    if (error === undefined) return <>{children}</>;
    return (
      <div class="complaint" role="alert">
        <p>
          {what} cannot be shown: this is a defect of nbdag. The rest of the site works. Please report this text,
          and the run&#39;s bundle (<code>nbdag export --bundle</code>) if you may:
        </p>
        <pre class="text" tabIndex={0}>
          {described(error)}
        </pre>
      </div>
    );
  }
}

function described(error: unknown): string {
  const shown = error instanceof Error ? `${error.name}: ${error.message}\n${error.stack ?? ""}` : String(error);
  return `${location.hash || "#/"}\n${shown}`.slice(0, 2000);
}
