/** Something a person does: called once, told of, and all that it may have changed is read again. */

import { useMutation, useQueryClient, type QueryKey } from "@tanstack/react-query";
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
      after?.(answer);
      await Promise.all(changes.map((key) => client.invalidateQueries({ queryKey: key })));
    },
  });
}
