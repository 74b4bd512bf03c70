import { useCallback } from "react";
import { useLocation, useNavigate, useSearchParams } from "react-router";
import { closeViewerParams, readViewerParams, type Source, viewerParams } from "../lib/place";

/** The document viewer lives in the address: a citation can be linked to, and "back" closes it. */
export function useViewer() {
  const [params] = useSearchParams();
  const navigate = useNavigate();
  const location = useLocation();
  const place = readViewerParams(params);
  const quoted = (location.state as { source?: Source } | null)?.source;

  const open = useCallback(
    (source: Source) => {
      navigate(
        { search: viewerParams(new URLSearchParams(window.location.search), source).toString() },
        { state: { source }, replace: readViewerParams(params) !== undefined },
      );
    },
    [navigate, params],
  );
  const openDocument = useCallback(
    (id: string) => {
      navigate(
        {
          search: viewerParams(new URLSearchParams(window.location.search), {
            document_id: id,
          }).toString(),
        },
        { replace: readViewerParams(params) !== undefined },
      );
    },
    [navigate, params],
  );
  const close = useCallback(() => {
    navigate({
      search: closeViewerParams(new URLSearchParams(window.location.search)).toString(),
    });
  }, [navigate]);

  return { place, quoted, open, openDocument, close };
}
