"""The fictional country's facts: trades, provinces, banks, names, response codes.

MCCs are of ISO 18245, provinces of GB/T 2260. Shops, people and banks are made up.
"""

from __future__ import annotations

from typing import NamedTuple


class Trade(NamedTuple):
    """A line of business and how it sells.

    :param median: typical ticket in minor units; `spread` is the sigma of its logarithm.
    :param profile: key of :data:`HOURS`.
    :param weekend, holiday: factor on its turnover on such days.
    """

    mcc: str
    label: str
    weight: float
    fee_class: str
    median: int
    spread: float
    profile: str
    weekend: float
    holiday: float


TRADES: tuple[Trade, ...] = (
    Trade("5411", "超市", 18, "PREF_78", 68_00, 0.8, "shop", 1.25, 1.15),
    Trade("5499", "便利店", 14, "STD", 22_00, 0.7, "night", 1.05, 1.05),
    Trade("5812", "餐厅", 16, "STD", 128_00, 0.8, "meal", 1.35, 1.45),
    Trade("5814", "快餐店", 12, "STD", 32_00, 0.6, "meal", 1.05, 1.10),
    Trade("5813", "酒吧", 3, "STD", 210_00, 0.8, "bar", 1.60, 1.50),
    Trade("5311", "百货商场", 6, "STD", 320_00, 1.0, "shop", 1.50, 1.60),
    Trade("5651", "服装店", 6, "STD", 260_00, 0.8, "shop", 1.40, 1.35),
    Trade("5732", "电器店", 4, "STD", 1_280_00, 1.1, "shop", 1.35, 1.40),
    Trade("5944", "珠宝店", 2, "STD", 3_600_00, 1.1, "shop", 1.40, 1.70),
    Trade("5541", "加油站", 6, "PREF_78", 260_00, 0.5, "flat", 1.10, 1.50),
    Trade("5912", "药店", 5, "STD", 78_00, 0.8, "shop", 0.95, 0.85),
    Trade("7011", "酒店", 4, "STD", 420_00, 0.7, "hotel", 1.30, 1.90),
    Trade("7832", "影院", 3, "STD", 88_00, 0.5, "bar", 1.70, 1.80),
    Trade("7230", "美容美发店", 4, "STD", 118_00, 0.8, "shop", 1.30, 1.00),
    Trade("4111", "公共交通", 4, "PREF_78", 6_00, 0.6, "flat", 0.85, 1.20),
    Trade("4900", "水电燃气", 3, "PREF_78", 156_00, 0.7, "office", 0.70, 0.40),
    Trade("4722", "旅行社", 2, "STD", 1_680_00, 0.9, "office", 1.20, 2.00),
    Trade("5211", "建材店", 2, "STD", 880_00, 1.1, "shop", 1.20, 0.70),
    Trade("8062", "医院", 3, "WAIVED", 236_00, 1.0, "office", 0.60, 0.45),
    Trade("8220", "大学", 1, "WAIVED", 880_00, 1.0, "office", 0.30, 0.15),
    Trade("8398", "慈善组织", 1, "WAIVED", 100_00, 0.9, "flat", 1.00, 1.10),
)

# Share of a date's attempts in each hour of the day, local time.
HOURS: dict[str, tuple[float, ...]] = {
    "shop": (0, 0, 0, 0, 0, 0, 0, 1, 2, 5, 8, 9, 7, 6, 7, 8, 8, 9, 10, 10, 7, 3, 1, 0),
    "night": (3, 2, 1, 1, 1, 2, 4, 6, 5, 3, 3, 4, 6, 4, 3, 3, 4, 6, 6, 6, 7, 8, 7, 5),
    "meal": (1, 0, 0, 0, 0, 1, 3, 5, 4, 2, 3, 13, 15, 7, 2, 2, 3, 9, 15, 11, 6, 3, 2, 1),
    "bar": (7, 4, 2, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 4, 4, 4, 6, 9, 12, 14, 13, 10),
    "flat": (1, 1, 1, 1, 1, 2, 5, 8, 8, 6, 5, 5, 5, 5, 5, 5, 6, 8, 7, 5, 4, 3, 2, 1),
    "hotel": (2, 1, 1, 1, 1, 1, 2, 4, 6, 5, 4, 5, 7, 8, 7, 6, 6, 6, 6, 6, 6, 5, 4, 3),
    "office": (0, 0, 0, 0, 0, 0, 0, 2, 11, 15, 14, 10, 3, 5, 12, 13, 9, 4, 1, 1, 0, 0, 0, 0),
}


class Province(NamedTuple):
    """A province with one of its cities and some of that city's districts."""

    code: str
    name: str
    city: str
    districts: tuple[str, ...]
    weight: float


PROVINCES: tuple[Province, ...] = (
    Province("110000", "北京市", "", ("朝阳区", "海淀区", "西城区"), 8),
    Province("120000", "天津市", "", ("和平区", "南开区"), 3),
    Province("130000", "河北省", "石家庄市", ("长安区", "裕华区"), 3),
    Province("140000", "山西省", "太原市", ("迎泽区", "小店区"), 2),
    Province("150000", "内蒙古自治区", "呼和浩特市", ("新城区", "赛罕区"), 1),
    Province("210000", "辽宁省", "沈阳市", ("和平区", "沈河区"), 3),
    Province("220000", "吉林省", "长春市", ("南关区", "朝阳区"), 1),
    Province("230000", "黑龙江省", "哈尔滨市", ("道里区", "南岗区"), 2),
    Province("310000", "上海市", "", ("浦东新区", "徐汇区", "静安区"), 10),
    Province("320000", "江苏省", "南京市", ("玄武区", "鼓楼区"), 8),
    Province("330000", "浙江省", "杭州市", ("西湖区", "上城区"), 9),
    Province("340000", "安徽省", "合肥市", ("蜀山区", "包河区"), 3),
    Province("350000", "福建省", "福州市", ("鼓楼区", "台江区"), 4),
    Province("360000", "江西省", "南昌市", ("东湖区", "西湖区"), 2),
    Province("370000", "山东省", "济南市", ("历下区", "市中区"), 6),
    Province("410000", "河南省", "郑州市", ("金水区", "中原区"), 5),
    Province("420000", "湖北省", "武汉市", ("江汉区", "武昌区"), 5),
    Province("430000", "湖南省", "长沙市", ("岳麓区", "芙蓉区"), 4),
    Province("440000", "广东省", "广州市", ("天河区", "越秀区", "海珠区"), 14),
    Province("450000", "广西壮族自治区", "南宁市", ("青秀区", "兴宁区"), 2),
    Province("460000", "海南省", "海口市", ("龙华区", "美兰区"), 1),
    Province("500000", "重庆市", "", ("渝中区", "江北区"), 4),
    Province("510000", "四川省", "成都市", ("锦江区", "武侯区"), 6),
    Province("520000", "贵州省", "贵阳市", ("云岩区", "南明区"), 1),
    Province("530000", "云南省", "昆明市", ("五华区", "盘龙区"), 2),
    Province("540000", "西藏自治区", "拉萨市", ("城关区",), 0.3),
    Province("610000", "陕西省", "西安市", ("雁塔区", "碑林区"), 4),
    Province("620000", "甘肃省", "兰州市", ("城关区", "七里河区"), 1),
    Province("630000", "青海省", "西宁市", ("城中区",), 0.4),
    Province("640000", "宁夏回族自治区", "银川市", ("兴庆区",), 0.5),
    Province("650000", "新疆维吾尔自治区", "乌鲁木齐市", ("天山区",), 1),
)

STREETS = ("人民路", "解放路", "中山路", "建设路", "新华路", "文化路", "和平路", "朝阳路")
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华文玉萍红建国"
SHOP_WORDS = ("鑫源", "福满", "盛达", "佳和", "永兴", "百顺", "天成", "瑞丰", "同德", "吉祥",
              "华美", "润泽", "东方", "万家", "春晖", "金桥", "远航", "乐活", "锦绣", "安康")
SETTLEMENT_BANKS = ("晨星银行", "江海银行", "北原银行", "南岭商业银行", "西川农村商业银行")


class Issuer(NamedTuple):
    """A fictional issuing bank: six-digit prefix, share of cards, whether it issues credit."""

    prefix: int
    name: str
    share: float
    is_credit: bool


ISSUERS: tuple[Issuer, ...] = (
    Issuer(621700, "晨星银行", 0.30, False),
    Issuer(622848, "江海银行", 0.20, False),
    Issuer(621226, "北原银行", 0.14, False),
    Issuer(625801, "晨星银行", 0.18, True),
    Issuer(622575, "南岭商业银行", 0.11, True),
    Issuer(628268, "江海银行", 0.07, True),
)
#: Prefixes of the bank whose outage is planted (晨星银行, debit and credit).
OUTAGE_PREFIXES = (621700, 625801)

#: Response codes of ISO 8583 as Chinese switches use them; index 0 is success.
RESPONSE_CODES = ("00", "51", "55", "05", "61", "54", "91")
FAILURE_SHARES = (0.0, 0.46, 0.20, 0.14, 0.08, 0.04, 0.08)
INSUFFICIENT = RESPONSE_CODES.index("51")
UNAVAILABLE = RESPONSE_CODES.index("91")

WAYS = ("bank_card", "qr_code")
FUNDINGS = ("debit", "credit", "balance")
CHANNELS = ("unionpay", "netsunion", "internal")
ENTRY_MODES = ("chip", "contactless", "qr_scan", "online")
MERCHANT_TYPES = ("enterprise", "sole_trader", "micro")
MODES = ("institution_managed", "bank_managed", "self_managed")
CYCLES = ("T+0", "T+1", "D+1")
FEE_CLASSES = ("STD", "PREF_78", "WAIVED")
MERCHANT_STATES = ("active", "suspended", "cancelled")
TERMINAL_TYPES = ("pos", "qr_box", "soft_pos")

#: What the goods are called; two hold the line breaks and quotes that a CSV reader must survive.
GOODS = ("", "商品", "餐饮", "日用品", "服务费", "门票", '会员"金卡"充值',
         "套餐一\n加饮料", "药品,非处方", "住宿押金")
