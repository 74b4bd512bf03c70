import { Component, type ReactNode } from "react";
import i18next from "../i18n";

/** Shows a way out where drawing failed, instead of a white page. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error?: unknown }> {
  override state: { error?: unknown } = {};

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === undefined) return this.props.children;
    return (
      <div role="alert" className="grid h-full place-items-center p-6">
        <div className="max-w-md">
          <h1 className="font-serif text-2xl font-semibold">{i18next.t("app.crashed")}</h1>
          <p className="mt-2 text-ink-2">{i18next.t("app.crashedHint")}</p>
          <pre className="mt-4 overflow-auto text-xs text-ink-3">{String(this.state.error)}</pre>
          <button type="button" className="button primary mt-5" onClick={() => location.reload()}>
            {i18next.t("app.reload")}
          </button>
        </div>
      </div>
    );
  }
}
