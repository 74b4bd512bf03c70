import { useQuery } from "@tanstack/react-query";
import { Unplug } from "lucide-react";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { api } from "../lib/api";
import { queryClient } from "../state/queries";

/** Says when the server is gone, and refreshes everything when it is back. */
export function ConnectionBanner() {
  const { t } = useTranslation();
  const { isError } = useQuery({
    queryKey: ["health"],
    queryFn: api.health,
    retry: false,
    refetchInterval: (query) => (query.state.status === "error" ? 2_000 : 20_000),
  });
  const wasLost = useRef(false);
  useEffect(() => {
    if (isError) wasLost.current = true;
    else if (wasLost.current) {
      wasLost.current = false;
      queryClient.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "health" });
    }
  }, [isError]);
  return (
    <div role="status">
      {isError && (
        <p className="flex animate-rise items-center justify-center gap-2 bg-danger-wash px-4 py-1.5 text-sm text-danger">
          <Unplug size={16} aria-hidden="true" />
          {t("connection.lost")}
        </p>
      )}
    </div>
  );
}
