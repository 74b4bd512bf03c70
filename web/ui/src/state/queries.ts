// What the page knows of the server, cached by TanStack Query.
import {
  QueryClient,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useEffect } from "react";
import { ApiError, api } from "../lib/api";
import { followJobs } from "../lib/jobStream";
import { isActive, mergeJobs } from "../lib/jobs";
import type { Job } from "../types/api";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      retry: (failures, error) =>
        failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
      // The server is on this machine or this network: being offline does not mean it is gone.
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

export const keys = {
  info: ["info"],
  status: ["status"],
  collections: ["collections"],
  documents: (collection: string) => ["documents", collection],
  jobs: (collection: string) => ["jobs", collection],
  flow: (collection: string) => ["flow", collection],
  watches: (collection: string) => ["watches", collection],
  document: (id: string) => ["document", id],
  content: (id: string) => ["content", id],
  report: (collection: string, path: string) => ["report", collection, path],
  settings: (collection: string) => ["settings", collection],
  conversations: ["conversations"],
} as const;

export const useInfo = () =>
  useQuery({ queryKey: keys.info, queryFn: api.info, staleTime: 60_000 });

export const useStatus = (shown: boolean) =>
  useQuery({
    queryKey: keys.status,
    queryFn: api.status,
    enabled: shown,
    refetchInterval: 2_000,
    staleTime: 0,
  });

export const useCollections = () =>
  useQuery({ queryKey: keys.collections, queryFn: api.collections });

export const useDocuments = (collection: string) =>
  useQuery({ queryKey: keys.documents(collection), queryFn: () => api.documents(collection) });

export const useDocument = (id: string) =>
  useQuery({ queryKey: keys.document(id), queryFn: () => api.document(id) });

export const useContent = (id: string) =>
  useQuery({ queryKey: keys.content(id), queryFn: () => api.content(id), staleTime: 60_000 });

export const useReport = (collection: string, path: string) =>
  useQuery({
    queryKey: keys.report(collection, path),
    queryFn: () => api.report(collection, path),
  });

export const useSettings = (collection: string) =>
  useQuery({ queryKey: keys.settings(collection), queryFn: () => api.settings(collection) });

const pageSize = 50;

export const useConversations = () =>
  useInfiniteQuery({
    queryKey: keys.conversations,
    queryFn: ({ pageParam }) => api.conversations(pageParam, pageSize),
    initialPageParam: 0,
    getNextPageParam: (last, pages) =>
      last.length < pageSize ? undefined : pages.length * pageSize,
  });

export function useJobs(collection: string): readonly Job[] {
  const { data } = useQuery({
    queryKey: keys.jobs(collection),
    queryFn: () => api.jobs(collection),
    enabled: collection !== "",
    // Merged, so that a slow reply cannot undo an event that overtook it.
    structuralSharing: (old, fresh) => mergeJobs((old as Job[]) ?? [], fresh as Job[]),
  });
  return data ?? [];
}

/** How far the batch is; the stream of events keeps it current. */
export const useFlow = (collection: string) =>
  useQuery({ queryKey: keys.flow(collection), queryFn: () => api.flow(collection) });

export const useWatches = (collection: string) =>
  useQuery({
    queryKey: keys.watches(collection),
    queryFn: () => api.watches(collection),
    // How the folders are doing changes without an event.
    refetchInterval: (query) => (query.state.data?.watches.length ? 5_000 : false),
  });

export function noteJobs(collection: string, jobs: readonly Job[]) {
  if (jobs.length === 0) return;
  const before = queryClient.getQueryData<readonly Job[]>(keys.jobs(collection)) ?? [];
  queryClient.setQueryData<readonly Job[]>(keys.jobs(collection), (old) =>
    mergeJobs(old ?? [], jobs),
  );
  const states = new Map(before.map((job) => [job.id, job]));
  const ended = jobs.some((job) => !isActive(job) && states.get(job.id)?.state !== job.state);
  const begun = jobs.some((job) => isActive(job) && !states.has(job.id));
  if (ended) {
    queryClient.invalidateQueries({ queryKey: keys.documents(collection) });
    // A file that was read anew has new text, under the same or another id.
    queryClient.invalidateQueries({ queryKey: ["content"] });
    queryClient.invalidateQueries({ queryKey: ["document"] });
    queryClient.invalidateQueries({ queryKey: ["report"] });
  }
  if (ended || begun) queryClient.invalidateQueries({ queryKey: keys.collections });
}

/** Keeps the jobs of a collection current while the calling component is shown. */
export function useJobStream(collection: string) {
  useEffect(() => {
    if (collection === "") return;
    return followJobs(
      collection,
      (jobs) => noteJobs(collection, jobs),
      (flow) => queryClient.setQueryData(keys.flow(collection), flow),
    );
  }, [collection]);
}

export function useCreateCollection() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: api.createCollection,
    onSuccess: () => client.invalidateQueries({ queryKey: keys.collections }),
  });
}
