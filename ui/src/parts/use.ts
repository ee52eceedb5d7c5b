// Loading for components: the answer, the refusal, and loading again.

import { useSignal, type Signal } from '@preact/signals';
import { useCallback, useEffect, useRef } from 'preact/hooks';

export interface Loaded<T> {
  data: Signal<T | undefined>;
  fault: Signal<unknown>;
  again: () => Promise<void>;
}

/** Asks whenever `keys` change; an older answer that comes later is dropped. */
export function useLoaded<T>(ask: () => Promise<T>, keys: unknown[]): Loaded<T> {
  const data = useSignal<T | undefined>(undefined);
  const fault = useSignal<unknown>(null);
  const turn = useRef(0);
  const again = useCallback(async () => {
    const mine = ++turn.current;
    try {
      const answer = await ask();
      if (mine !== turn.current) return;
      data.value = answer;
      fault.value = null;
    } catch (problem) {
      if (mine === turn.current) fault.value = problem;
    }
  }, keys);
  useEffect(() => {
    data.value = undefined;
    void again();
    return () => void turn.current++;
  }, [again]);
  return { data, fault, again };
}
