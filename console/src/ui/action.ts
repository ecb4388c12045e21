/** Something a person does: called once, told of, and all that it may have changed is read again. */

import { useMutation, useQueryClient, type QueryKey } from "@tanstack/react-query";
import { flushSync } from "react-dom";
import { useSay } from "./toasts";

interface Action<Wanted, T> {
  call: (wanted: Wanted) => Promise<T>;
  done: (answer: T) => string;
  changes: readonly QueryKey[];
  after?: (answer: T) => void;
}

export function useAction<Wanted, T>({ call, done, changes, after }: Action<Wanted, T>) {
  const client = useQueryClient();
  const say = useSay();
  return useMutation({
    mutationFn: call,
    onSuccess: async (answer) => {
      say(done(answer));
      // What is closed by it is gone before anything is read again: what was deleted would be asked for once more.
      flushSync(() => after?.(answer));
      await Promise.all(changes.map((key) => client.invalidateQueries({ queryKey: key })));
    },
  });
}
