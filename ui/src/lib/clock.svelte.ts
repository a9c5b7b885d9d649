// The present, for relative times and for the time left to answer. Ticks each second.

class Clock {
  now = $state(Date.now());

  /** Ticks until the returned function is called. */
  start(): () => void {
    const timer = setInterval(() => {
      if (!document.hidden) this.now = Date.now();
    }, 1_000);
    return () => clearInterval(timer);
  }
}

export const clock = new Clock();
