// A component that is loaded when first shown.

import type { ComponentType } from 'preact';
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Loading, Problem } from './basics';

export function lazy(load: () => Promise<ComponentType>): ComponentType {
  const loaded = signal<ComponentType | null>(null);
  const fault = signal<unknown>(null);
  return function Lazy() {
    useEffect(() => {
      if (!loaded.value) load().then((page) => (loaded.value = page), (problem) => (fault.value = problem));
    }, []);
    const Page = loaded.value;
    if (fault.value) return <Problem of="This page could not be loaded. Reload to try again." />;
    return Page ? <Page /> : <Loading />;
  };
}
