// What is on a Superset dashboard: run by dashboards/browser.py, returns plain data.
const shown = (nodes) => [...nodes].map((n) => n.textContent.trim()).filter(Boolean);
const inkOf = (canvas) => {
  if (!canvas || !canvas.width || !canvas.height) return null;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let inked = 0, looked = 0;
  for (let i = 0; i < data.length; i += 28) {
    looked += 1;
    if (data[i + 3] > 0 && !(data[i] > 245 && data[i + 1] > 245 && data[i + 2] > 245)) inked += 1;
  }
  return inked / looked;
};
const clipped = (node, chart) => {
  const box = chart.closest('.dashboard-component-chart-holder') || chart;
  const own = node.getBoundingClientRect();
  for (let up = node.parentElement; up && box.contains(up); up = up.parentElement) {
    const style = getComputedStyle(up);
    const frame = up.getBoundingClientRect();
    if (style.overflowY === 'hidden' && own.bottom > frame.bottom + 1) return true;
    if (style.overflowX === 'hidden' && own.right > frame.right + 1) return true;
  }
  return own.bottom > box.getBoundingClientRect().bottom + 1;
};
// The words of an empty state stand beside its picture.
const told = (node) => {
  const picture = node.closest('[role=img]');
  return picture && picture.parentElement ? picture.parentElement : node;
};
const cutLabels = (box) => [...box.querySelectorAll(
  '.pl-name,.pl-value,.pl-note,.pl-state,th,.header-line,.header-title a,.editable-title span')]
  .filter((n) => n.clientWidth > 0 && ((n.scrollWidth > n.clientWidth + 1
    && getComputedStyle(n).overflow !== 'visible')
    || (n.className.startsWith('pl-') && clipped(n, box))))
  .map((n) => n.textContent.trim().slice(0, 60));
const charts = [...document.querySelectorAll('[data-test=chart-grid-component]')].map((box) => ({
  title: (box.querySelector('[data-test=editable-title-input],.header-title') || box).textContent
    .trim().slice(0, 80),
  text: (box.querySelector('.slice_container') || box).innerText.trim(),
  ink: inkOf(box.querySelector('canvas')),
  rows: [...box.querySelectorAll('tbody tr')]
    .filter((n) => n.checkVisibility({ visibilityProperty: true, opacityProperty: true })).length,
  figure: (box.querySelector('.header-line') || { textContent: '' }).textContent.trim(),
  loading: box.querySelectorAll('.loading,[data-test=loading-indicator],.chart-loading').length,
  errors: shown(box.querySelectorAll(
    '[data-test=error-container],.ant-alert-error,.chart-error,[role=alert]'))
    .map((t) => t.slice(0, 200)),
  empty: shown([...box.querySelectorAll('.ant-empty,[data-test=empty-state]')].map(told)),
  cut: cutLabels(box),
}));
return {
  charts,
  banners: shown(document.querySelectorAll('.ant-alert-error,.toast--danger'))
    .map((t) => t.slice(0, 200)),
  labels: shown(document.querySelectorAll(
    'th,.header-title,[data-test=editable-title-input],[data-test=filter-control-name]')),
  width: document.documentElement.scrollWidth,
  visible: document.documentElement.clientWidth,
  height: Math.max(...[...document.querySelectorAll(
    '[data-test=dashboard-content-wrapper],.dashboard,.grid-container,[data-test=grid-container]')]
    .map((n) => n.getBoundingClientRect().bottom + window.scrollY), 0) + 16,
};
